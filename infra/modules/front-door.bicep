// Optional: the one address that clients know, whichever region works.

@description('Required. Part of every name.')
param token string

@description('Required. Tags of every resource.')
param tags object

resource profile 'Microsoft.Cdn/profiles@2025-04-15' = {
  name: 'afd-${token}'
  location: 'global'
  tags: tags
  sku: { name: 'Standard_AzureFrontDoor' }
}

resource endpoint 'Microsoft.Cdn/profiles/afdEndpoints@2025-04-15' = {
  parent: profile
  name: 'durable-${token}'
  location: 'global'
  tags: tags
  properties: { enabledState: 'Enabled' }
}

@description('Name of the profile.')
output profileName string = profile.name

@description('Name of the endpoint.')
output endpointName string = endpoint.name

@description('Id that requests carry in x-azure-fdid.')
output frontDoorId string = profile.properties.frontDoorId

@description('Address that clients know.')
output baseUrl string = 'https://${endpoint.properties.hostName}'
