// One region's own identity: its rights can be taken away without touching the other region.

@description('Required. Region of the identity.')
param location string

@description('Required. Name of the identity.')
param name string

@description('Required. Tags of every resource.')
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('Resource id of the identity.')
output id string = identity.id

@description('Principal that roles are granted to.')
output principalId string = identity.properties.principalId

@description('Client id that the app names when it asks for a token.')
output clientId string = identity.properties.clientId
