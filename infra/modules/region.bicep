// Everything that one region owns. Instantiated twice; only places, addresses and the active flag differ.

@description('Required. Region.')
param location string

@description('Required. Short code of the region, near the front of every name.')
param regionCode string

@description('Required. Part of every name that makes it unique in Azure.')
param token string

@description('Required. Address range of the virtual network.')
param vnetPrefix string

@description('Required. Range of the endpoint subnet.')
param endpointSubnetPrefix string

@description('Required. Range of the integration subnet.')
param functionSubnetPrefix string

@description('Required. Whether this region works. The other one is deployed and stopped.')
param active bool

@description('Required. Service name in azure.yaml.')
param serviceTag string

@description('Required. Storage account that holds the task hub.')
param storageAccountId string

@description('Required. Name of the storage account that holds the task hub.')
param storageAccountName string

@description('Required. Also creates the endpoints of the account\'s secondary.')
param includeSecondary bool

@description('Required. Fixes the endpoint addresses.')
param pinAddresses bool

@description('Required. Task hub of both regions.')
param taskHubName string

@description('Required. Python version of the worker.')
param pythonVersion string

@description('Required. Size of the plan.')
param planSku string

@description('Required. Number of instances of the plan.')
param planCapacity int

@description('Required. How callers prove who they are: keys or entra.')
param clientAuth string

@description('Required. Application id for Entra tokens. Empty with keys.')
param entraClientId string

@description('Required. Vault that holds the function keys. Empty with Entra.')
param vaultId string

@description('Required. Address of that vault. Empty with Entra.')
param vaultUri string

@description('Required. Account of the journal. Empty without a journal.')
param journalAccountId string

@description('Required. Name of the account of the journal. Empty without a journal.')
param journalAccountName string

@description('Required. Settings of the workflows.')
param workflowSettings object

@description('Required. Address that clients know. Empty: the address of the request.')
param publicBaseUrl string

@description('Required. Front Door that may reach the app. Empty: anyone may.')
param frontDoorId string

@description('Required. Address ranges that may deploy code.')
param deployerAddresses array

@description('Required. Lets the app reach the Internet on 443.')
param allowInternetEgress bool

@description('Required. Tags of every resource.')
param tags object

var namePrefix = '${regionCode}-${token}'

module identity 'identity.bicep' = {
  name: 'identity-${regionCode}'
  params: {
    location: location
    name: 'id-${namePrefix}'
    tags: tags
  }
}

module network 'network.bicep' = {
  name: 'network-${regionCode}'
  params: {
    location: location
    namePrefix: namePrefix
    vnetPrefix: vnetPrefix
    endpointSubnetPrefix: endpointSubnetPrefix
    functionSubnetPrefix: functionSubnetPrefix
    allowInternetEgress: allowInternetEgress
    tags: tags
  }
}

module hubEndpoints 'private-endpoints.bicep' = {
  name: 'hub-endpoints-${regionCode}'
  params: {
    location: location
    namePrefix: namePrefix
    storageAccountId: storageAccountId
    subnetId: network.outputs.endpointSubnetId
    vnetId: network.outputs.vnetId
    includeSecondary: includeSecondary
    endpointSubnetPrefix: endpointSubnetPrefix
    pinAddresses: pinAddresses
    tags: tags
  }
}

module vaultZone 'vault-zone.bicep' = if (clientAuth == 'keys') {
  name: 'vault-zone-${regionCode}'
  params: {
    namePrefix: namePrefix
    vnetId: network.outputs.vnetId
    tags: tags
  }
}

// After the hub's endpoints, so that those get the first addresses.
module vaultEndpoint 'single-endpoint.bicep' = if (clientAuth == 'keys') {
  name: 'vault-endpoint-${regionCode}'
  params: {
    location: location
    name: 'pe-${namePrefix}-vault'
    targetId: vaultId
    groupId: 'vault'
    subnetId: network.outputs.endpointSubnetId
    zoneId: vaultZone!.outputs.zoneId
    tags: tags
  }
  dependsOn: [hubEndpoints]
}

// The journal's name lives in the same zone as the hub's: another account, so another record.
module journalEndpoint 'single-endpoint.bicep' = if (!empty(journalAccountId)) {
  name: 'journal-endpoint-${regionCode}'
  params: {
    location: location
    name: 'pe-${namePrefix}-journal'
    targetId: journalAccountId
    groupId: 'blob'
    subnetId: network.outputs.endpointSubnetId
    zoneId: hubEndpoints.outputs.zoneIds[0]
    tags: tags
  }
  dependsOn: [vaultEndpoint]
}

module monitoring 'monitoring.bicep' = {
  name: 'monitoring-${regionCode}'
  params: {
    location: location
    namePrefix: namePrefix
    principalId: identity.outputs.principalId
    tags: tags
  }
}

module app 'function-app.bicep' = {
  name: 'app-${regionCode}'
  params: {
    location: location
    siteName: 'func-${namePrefix}'
    planName: 'plan-${namePrefix}'
    planSku: planSku
    planCapacity: planCapacity
    active: active
    serviceTag: serviceTag
    subnetId: network.outputs.functionSubnetId
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    storageAccountName: storageAccountName
    taskHubName: taskHubName
    pythonVersion: pythonVersion
    clientAuth: clientAuth
    entraClientId: entraClientId
    vaultUri: vaultUri
    journalAccountName: journalAccountName
    workflowSettings: workflowSettings
    publicBaseUrl: publicBaseUrl
    frontDoorId: frontDoorId
    deployerAddresses: deployerAddresses
    insightsConnectionString: monitoring.outputs.connectionString
    workspaceId: monitoring.outputs.workspaceId
    tags: tags
  }
  // The host looks for its storage when it starts.
  dependsOn: [hubEndpoints, vaultEndpoint, journalEndpoint]
}

@description('Principal of the region\'s identity.')
output principalId string = identity.outputs.principalId

@description('Resource id of the app.')
output siteId string = app.outputs.siteId

@description('Name of the app.')
output siteName string = app.outputs.siteName

@description('Host name of the app.')
output hostName string = app.outputs.hostName

@description('Resource id of the region\'s workspace.')
output workspaceId string = monitoring.outputs.workspaceId
