// One storage account that only private endpoints and Entra identities can reach.

@description('Required. Name of the account: 3 to 24 lower-case letters and digits, unique in Azure.')
@minLength(3)
@maxLength(24)
param name string

@description('Required. Region in which the account was created. It never changes, not even after a failover.')
param location string

@description('Required. Redundancy. A parameter because an unplanned failover leaves the account at Standard_LRS.')
@allowed([
  'Standard_RAGRS'
  'Standard_RAGZRS'
  'Standard_GRS'
  'Standard_GZRS'
  'Standard_LRS'
  'Standard_ZRS'
])
param skuName string

@description('Required. Encrypts a second time at the infrastructure layer. Can be chosen only when the account is created.')
param infrastructureEncryption bool

@description('Required. Tags of every resource.')
param tags object

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: skuName }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    dnsEndpointType: 'Standard'
    encryption: {
      keySource: 'Microsoft.Storage'
      requireInfrastructureEncryption: infrastructureEncryption
      services: {
        blob: { enabled: true, keyType: 'Account' }
        // Queues and tables take the account's key only if the account was created so.
        queue: { enabled: true, keyType: 'Account' }
        table: { enabled: true, keyType: 'Account' }
      }
    }
    isHnsEnabled: false
    minimumTlsVersion: 'TLS1_2'
    networkAcls: {
      bypass: 'None'
      defaultAction: 'Deny'
    }
    publicNetworkAccess: 'Disabled'
    supportsHttpsTrafficOnly: true
  }
}

// Change feed and point-in-time restore block a planned failover; soft delete does not.
resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    changeFeed: { enabled: false }
    containerDeleteRetentionPolicy: { enabled: true, days: 7 }
    deleteRetentionPolicy: { enabled: true, days: 7 }
    isVersioningEnabled: false
    restorePolicy: { enabled: false }
  }
}

// CanNotDelete, never ReadOnly: ReadOnly refuses every POST, the failover included.
resource lock 'Microsoft.Authorization/locks@2020-05-01' = {
  name: 'keep-the-account'
  scope: account
  properties: {
    level: 'CanNotDelete'
    notes: 'The account holds every orchestration in flight. Remove this lock before azd down.'
  }
}

@description('Resource id of the account.')
output id string = account.id

@description('Name of the account.')
output name string = account.name
