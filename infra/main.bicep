// Two regions on one task hub: the primary works, the standby is deployed and stopped.

targetScope = 'subscription'

@description('Required. Name of the azd environment; part of every name.')
@minLength(1)
@maxLength(32)
param environmentName string

@description('Optional. Region that normally works, and the one in which the account is created.')
param primaryLocation string = 'westeurope'

@description('Optional. Region that takes over: the paired region of the primary, because geo-redundancy copies there.')
param secondaryLocation string = 'northeurope'

@description('Optional. Short code of the primary region.')
@maxLength(5)
param primaryRegionCode string = 'weu'

@description('Optional. Short code of the secondary region.')
@maxLength(5)
param secondaryRegionCode string = 'neu'

@description('Optional. Region whose app runs. The failover commands change it, so that a later azd up undoes nothing.')
@allowed([
  'primary'
  'secondary'
])
param activeRegion string = 'primary'

@description('Optional. Region whose identity gets no rights on the hub\'s data, because it was failed away from and may wake up.')
@allowed([
  'none'
  'primary'
  'secondary'
])
param fencedRegion string = 'none'

// RA-GRS is regained after a failover in either direction; RA-GZRS adds zones, but only while the primary is home.
@description('Optional. Redundancy of the account. Standard_LRS describes the account right after an unplanned failover.')
@allowed([
  'Standard_RAGRS'
  'Standard_RAGZRS'
  'Standard_GRS'
  'Standard_GZRS'
  'Standard_LRS'
])
param storageSku string = 'Standard_RAGRS'

@description('Optional. Encrypts the account a second time at the infrastructure layer. Only when the account is created.')
param infrastructureEncryption bool = false

@description('Optional. Creates endpoints for the readable secondary. False while the account is not RA-redundant.')
param deploySecondaryEndpoints bool = true

@description('Optional. Task hub of both regions; the same name as in host.json.')
param taskHubName string = 'DurableFailover'

@description('Optional. Python version of the worker.')
@allowed([
  '3.12'
  '3.13'
])
param pythonVersion string = '3.12'

@description('Optional. Size of both plans. Dedicated: a plan with a content share would need the account\'s key.')
param planSku string = 'P1v3'

@description('Optional. Instances of each plan.')
param planCapacity int = 1

@description('Optional. How callers prove who they are: keys (one vault for both apps) or entra (built-in authentication, no keys).')
@allowed([
  'keys'
  'entra'
])
param clientAuth string = 'keys'

@description('Conditional. Application (client) id that tokens are made for. Required with clientAuth entra.')
param entraClientId string = ''

@description('Optional. Creates the journal\'s account in the secondary region, where accepted requests survive the hub\'s region.')
param deployJournal bool = true

@description('Optional. Lets the apps reach the Internet on 443, from where the host fetches the extension bundle.')
param allowInternetEgress bool = true

@description('Optional. Address ranges (CIDR) that may deploy code. Empty: any address, with an Entra token.')
param deployerAddresses array = []

@description('Optional. Address that clients know, for status links. Empty: Front Door\'s if deployed, else the address of the request.')
param publicBaseUrl string = ''

@description('Optional. Settings of the workflows (PAYMENT_URL and so on). A provision replaces all settings, so they belong here.')
param workflowSettings object = {}

@description('Optional. Creates a Front Door with priority routing to both regions.')
param deployFrontDoor bool = false

@description('Optional. Address that gets alert mails.')
param alertEmail string = ''

@description('Optional. Logs every storage operation. The hub polls all the time, so this costs.')
param logStorageOperations bool = false

@description('Optional. Address range of the primary network.')
param primaryVnetPrefix string = '10.0.0.0/24'

@description('Optional. Endpoint subnet of the primary: the first endpoint gets 10.0.0.4.')
param primaryEndpointSubnetPrefix string = '10.0.0.0/28'

@description('Optional. Integration subnet of the primary.')
param primaryFunctionSubnetPrefix string = '10.0.0.64/26'

@description('Optional. Address range of the secondary network.')
param secondaryVnetPrefix string = '10.100.0.0/24'

@description('Optional. Endpoint subnet of the secondary: the first endpoint gets 10.100.0.4.')
param secondaryEndpointSubnetPrefix string = '10.100.0.0/28'

@description('Optional. Integration subnet of the secondary.')
param secondaryFunctionSubnetPrefix string = '10.100.0.64/26'

@description('Optional. Fixes the endpoint addresses at .4 and up instead of taking them in order.')
param pinEndpointAddresses bool = false

var token = uniqueString(subscription().id, environmentName)
var tags = { 'azd-env-name': environmentName }
var storageName = 'st${token}'
var vaultName = 'kv-${token}'
var journalName = 'stj${token}'
var usesKeys = clientAuth == 'keys'
var vaultId = usesKeys ? vault!.outputs.id : ''
var vaultUri = usesKeys ? vault!.outputs.uri : ''
var journalId = deployJournal ? journal!.outputs.id : ''
var journalAccountName = deployJournal ? journal!.outputs.name : ''
var baseUrl = deployFrontDoor && empty(publicBaseUrl) ? frontDoor!.outputs.baseUrl : publicBaseUrl
var frontDoorId = deployFrontDoor ? frontDoor!.outputs.frontDoorId : ''

// The group of the state lives in the secondary region, so that the account can be managed when the primary is down.
resource stateGroup 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}-state'
  location: secondaryLocation
  tags: tags
}

resource primaryGroup 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}-${primaryRegionCode}'
  location: primaryLocation
  tags: tags
}

resource standbyGroup 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}-${secondaryRegionCode}'
  location: secondaryLocation
  tags: tags
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: stateGroup
  params: {
    name: storageName
    location: primaryLocation
    skuName: storageSku
    infrastructureEncryption: infrastructureEncryption
    tags: tags
  }
}

// Zones, not regions: the journal exists for the case that the other region is gone.
module journal 'modules/storage.bicep' = if (deployJournal) {
  name: 'journal'
  scope: stateGroup
  params: {
    name: journalName
    location: secondaryLocation
    skuName: 'Standard_ZRS'
    infrastructureEncryption: infrastructureEncryption
    tags: tags
  }
}

module vault 'modules/vault.bicep' = if (usesKeys) {
  name: 'vault'
  scope: stateGroup
  params: {
    name: vaultName
    location: secondaryLocation
    tags: tags
  }
}

module frontDoor 'modules/front-door.bicep' = if (deployFrontDoor) {
  name: 'front-door'
  scope: stateGroup
  params: {
    token: token
    tags: tags
  }
}

module primaryRegion 'modules/region.bicep' = {
  name: 'region-primary'
  scope: primaryGroup
  params: {
    location: primaryLocation
    regionCode: primaryRegionCode
    vnetPrefix: primaryVnetPrefix
    endpointSubnetPrefix: primaryEndpointSubnetPrefix
    functionSubnetPrefix: primaryFunctionSubnetPrefix
    active: activeRegion == 'primary'
    serviceTag: 'orchestrator-primary'
    token: token
    storageAccountId: storage.outputs.id
    storageAccountName: storage.outputs.name
    includeSecondary: deploySecondaryEndpoints
    pinAddresses: pinEndpointAddresses
    taskHubName: taskHubName
    pythonVersion: pythonVersion
    planSku: planSku
    planCapacity: planCapacity
    clientAuth: clientAuth
    entraClientId: entraClientId
    vaultId: vaultId
    vaultUri: vaultUri
    journalAccountId: journalId
    journalAccountName: journalAccountName
    workflowSettings: workflowSettings
    publicBaseUrl: baseUrl
    frontDoorId: frontDoorId
    deployerAddresses: deployerAddresses
    allowInternetEgress: allowInternetEgress
    tags: tags
  }
}

module standbyRegion 'modules/region.bicep' = {
  name: 'region-standby'
  scope: standbyGroup
  params: {
    location: secondaryLocation
    regionCode: secondaryRegionCode
    vnetPrefix: secondaryVnetPrefix
    endpointSubnetPrefix: secondaryEndpointSubnetPrefix
    functionSubnetPrefix: secondaryFunctionSubnetPrefix
    active: activeRegion == 'secondary'
    serviceTag: 'orchestrator-standby'
    token: token
    storageAccountId: storage.outputs.id
    storageAccountName: storage.outputs.name
    includeSecondary: deploySecondaryEndpoints
    pinAddresses: pinEndpointAddresses
    taskHubName: taskHubName
    pythonVersion: pythonVersion
    planSku: planSku
    planCapacity: planCapacity
    clientAuth: clientAuth
    entraClientId: entraClientId
    vaultId: vaultId
    vaultUri: vaultUri
    journalAccountId: journalId
    journalAccountName: journalAccountName
    workflowSettings: workflowSettings
    publicBaseUrl: baseUrl
    frontDoorId: frontDoorId
    deployerAddresses: deployerAddresses
    allowInternetEgress: allowInternetEgress
    tags: tags
  }
  // Endpoints of two networks to one account are created one region after the other.
  dependsOn: [primaryRegion]
}

// Both identities get their rights now: a grant made in the disaster would have to travel first.
module primaryHubAccess 'modules/storage-access.bicep' = if (fencedRegion != 'primary') {
  name: 'hub-access-primary'
  scope: stateGroup
  params: {
    storageAccountName: storage.outputs.name
    principalId: primaryRegion.outputs.principalId
  }
}

module standbyHubAccess 'modules/storage-access.bicep' = if (fencedRegion != 'secondary') {
  name: 'hub-access-standby'
  scope: stateGroup
  params: {
    storageAccountName: storage.outputs.name
    principalId: standbyRegion.outputs.principalId
  }
}

module primaryJournalAccess 'modules/journal-access.bicep' = if (deployJournal) {
  name: 'journal-access-primary'
  scope: stateGroup
  params: {
    storageAccountName: journalAccountName
    principalId: primaryRegion.outputs.principalId
  }
}

module standbyJournalAccess 'modules/journal-access.bicep' = if (deployJournal) {
  name: 'journal-access-standby'
  scope: stateGroup
  params: {
    storageAccountName: journalAccountName
    principalId: standbyRegion.outputs.principalId
  }
}

module primaryKeyAccess 'modules/vault-access.bicep' = if (usesKeys) {
  name: 'key-access-primary'
  scope: stateGroup
  params: {
    vaultName: vault!.outputs.name
    principalId: primaryRegion.outputs.principalId
  }
}

module standbyKeyAccess 'modules/vault-access.bicep' = if (usesKeys) {
  name: 'key-access-standby'
  scope: stateGroup
  params: {
    vaultName: vault!.outputs.name
    principalId: standbyRegion.outputs.principalId
  }
}

module storageDiagnostics 'modules/storage-diagnostics.bicep' = {
  name: 'storage-diagnostics'
  scope: stateGroup
  params: {
    storageAccountName: storage.outputs.name
    // The standby's workspace: the primary's is gone when these numbers are needed.
    workspaceId: standbyRegion.outputs.workspaceId
    logOperations: logStorageOperations
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: stateGroup
  params: {
    location: secondaryLocation
    token: token
    primaryWorkspaceId: primaryRegion.outputs.workspaceId
    standbyWorkspaceId: standbyRegion.outputs.workspaceId
    siteIds: [primaryRegion.outputs.siteId, standbyRegion.outputs.siteId]
    storageAccountId: storage.outputs.id
    alertEmail: alertEmail
    tags: tags
  }
}

module frontDoorOrigins 'modules/front-door-origins.bicep' = if (deployFrontDoor) {
  name: 'front-door-origins'
  scope: stateGroup
  params: {
    profileName: frontDoor!.outputs.profileName
    endpointName: frontDoor!.outputs.endpointName
    primaryHostName: primaryRegion.outputs.hostName
    standbyHostName: standbyRegion.outputs.hostName
  }
}

@description('Resource group of the account, the journal, the vault and the alerts.')
output AZURE_STATE_RESOURCE_GROUP string = stateGroup.name

@description('Resource group of the primary region.')
output AZURE_PRIMARY_RESOURCE_GROUP string = primaryGroup.name

@description('Resource group of the standby region.')
output AZURE_STANDBY_RESOURCE_GROUP string = standbyGroup.name

@description('Region that normally works.')
output AZURE_PRIMARY_LOCATION string = primaryLocation

@description('Region that takes over.')
output AZURE_STANDBY_LOCATION string = secondaryLocation

@description('Account that holds the task hub.')
output STORAGE_ACCOUNT_NAME string = storage.outputs.name

@description('Account of the journal; empty without one.')
output JOURNAL_ACCOUNT_NAME string = journalAccountName

@description('Task hub of both regions.')
output TASK_HUB_NAME string = taskHubName

@description('Address that clients know; empty: the app\'s own.')
output PUBLIC_BASE_URL string = baseUrl

@description('Name of the primary region\'s app.')
output SERVICE_ORCHESTRATOR_PRIMARY_NAME string = primaryRegion.outputs.siteName

@description('Host name of the primary region\'s app.')
output SERVICE_ORCHESTRATOR_PRIMARY_HOSTNAME string = primaryRegion.outputs.hostName

@description('Principal of the primary region\'s identity.')
output SERVICE_ORCHESTRATOR_PRIMARY_PRINCIPAL_ID string = primaryRegion.outputs.principalId

@description('Name of the standby region\'s app.')
output SERVICE_ORCHESTRATOR_STANDBY_NAME string = standbyRegion.outputs.siteName

@description('Host name of the standby region\'s app.')
output SERVICE_ORCHESTRATOR_STANDBY_HOSTNAME string = standbyRegion.outputs.hostName

@description('Principal of the standby region\'s identity.')
output SERVICE_ORCHESTRATOR_STANDBY_PRINCIPAL_ID string = standbyRegion.outputs.principalId
