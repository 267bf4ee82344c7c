// One region's plan and function app. Running in the active region, deployed and stopped in the other.

@description('Required. Region of the app.')
param location string

@description('Required. Name of the app, at most 32 characters: the host id is made of the first 32.')
@maxLength(32)
param siteName string

@description('Required. Name of the plan.')
param planName string

@description('Required. Size of the plan, the same in both regions so that the standby can carry the full load.')
param planSku string

@description('Required. Number of instances of the plan.')
param planCapacity int

@description('Required. Whether this region works. The other one is deployed and stopped.')
param active bool

@description('Required. Service name in azure.yaml, by which azd finds the app.')
param serviceTag string

@description('Required. Subnet that the app is integrated with.')
param subnetId string

@description('Required. Resource id of the region\'s identity.')
param identityId string

@description('Required. Client id of the region\'s identity.')
param identityClientId string

@description('Required. Storage account that holds the task hub.')
param storageAccountName string

@description('Required. Task hub of both regions.')
param taskHubName string

@description('Required. Python version of the worker.')
param pythonVersion string

@description('Required. How callers prove who they are: function keys, or Entra tokens checked by built-in authentication.')
@allowed([
  'keys'
  'entra'
])
param clientAuth string

@description('Required. Application (client) id that Entra tokens must be made for. Empty with keys.')
param entraClientId string

@description('Required. Address of the vault that holds the function keys. Empty with Entra.')
param vaultUri string

@description('Required. Account of the journal, outside the hub\'s region. Empty without a journal.')
param journalAccountName string

@description('Required. Settings of the workflows. The design\'s own settings win over them.')
param workflowSettings object

@description('Required. Address that clients know, used in status links. Empty: the address of the request.')
param publicBaseUrl string

@description('Required. Front Door that may reach the app. Empty: anyone may, and the function key or token decides.')
param frontDoorId string

@description('Required. Address ranges that may deploy code. Empty: anyone with the right Entra role.')
param deployerAddresses array

@description('Required. Connection string of the region\'s Application Insights.')
param insightsConnectionString string

@description('Required. Workspace for the app\'s logs.')
param workspaceId string

@description('Required. Tags of every resource.')
param tags object

var commonSettings = {
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
  AzureFunctionsJobHost__extensions__durableTask__hubName: taskHubName
  AzureWebJobsStorage__accountName: storageAccountName
  AzureWebJobsStorage__clientId: identityClientId
  AzureWebJobsStorage__credential: 'managedidentity'
  // The package is built once for both regions, so nothing may be built on the way in.
  ENABLE_ORYX_BUILD: 'false'
  FUNCTIONS_EXTENSION_VERSION: '~4'
  FUNCTIONS_WORKER_RUNTIME: 'python'
  HTTP_AUTH_LEVEL: clientAuth == 'keys' ? 'function' : 'anonymous'
  PUBLIC_BASE_URL: publicBaseUrl
  PYTHON_THREADPOOL_THREAD_COUNT: '4'
  REGION_ROLE: serviceTag
  SCM_DO_BUILD_DURING_DEPLOYMENT: 'false'
  TASK_HUB_NAME: taskHubName
  WEBSITE_RUN_FROM_PACKAGE: '1'
}

// Both apps keep their keys in one vault: a key that a client holds is valid in either region.
var keySettings = clientAuth == 'keys' ? {
  AzureWebJobsSecretStorageKeyVaultClientId: identityClientId
  AzureWebJobsSecretStorageKeyVaultUri: vaultUri
  AzureWebJobsSecretStorageType: 'keyvault'
} : {}

var journalSettings = empty(journalAccountName) ? {} : {
  // The record of who works is kept beside the journal.
  FENCE_REGION: location
  JOURNAL_STORAGE__accountName: journalAccountName
  JOURNAL_STORAGE__clientId: identityClientId
  JOURNAL_STORAGE__credential: 'managedidentity'
}

var appSettings = union(workflowSettings, commonSettings, keySettings, journalSettings)

var frontDoorOnly = [
  {
    name: 'front-door'
    action: 'Allow'
    priority: 100
    tag: 'ServiceTag'
    ipAddress: 'AzureFrontDoor.Backend'
    headers: { 'x-azure-fdid': [frontDoorId] }
  }
]

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'linux'
  sku: { name: planSku, capacity: planCapacity }
  properties: { reserved: true }
}

resource site 'Microsoft.Web/sites@2024-11-01' = {
  name: siteName
  location: location
  kind: 'functionapp,linux'
  tags: union(tags, { 'azd-service-name': serviceTag })
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    clientAffinityEnabled: false
    enabled: true
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    outboundVnetRouting: { allTraffic: true }
    publicNetworkAccess: 'Enabled'
    reserved: true
    // The deployment endpoint stays up while the app is stopped: that is how the standby gets its code.
    scmSiteAlsoStopped: false
    serverFarmId: plan.id
    // Marked read-only in the schema, and accepted; the postdeploy hook checks what came of it.
    #disable-next-line BCP073
    state: active ? 'Running' : 'Stopped'
    virtualNetworkSubnetId: subnetId
    siteConfig: {
      alwaysOn: true
      appSettings: [for setting in items(appSettings): { name: setting.key, value: setting.value }]
      ftpsState: 'Disabled'
      healthCheckPath: '/api/health'
      http20Enabled: true
      ipSecurityRestrictions: empty(frontDoorId) ? [] : frontDoorOnly
      ipSecurityRestrictionsDefaultAction: empty(frontDoorId) ? 'Allow' : 'Deny'
      linuxFxVersion: 'PYTHON|${pythonVersion}'
      minTlsVersion: '1.2'
      scmIpSecurityRestrictions: [for (address, i) in deployerAddresses: { name: 'deployer-${i}', action: 'Allow', priority: 100 + i, ipAddress: address }]
      scmIpSecurityRestrictionsDefaultAction: empty(deployerAddresses) ? 'Allow' : 'Deny'
      scmIpSecurityRestrictionsUseMain: false
      scmMinTlsVersion: '1.2'
    }
  }
}

resource noBasicScm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: site
  name: 'scm'
  properties: { allow: false }
}

resource noBasicFtp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: site
  name: 'ftp'
  properties: { allow: false }
}

resource authentication 'Microsoft.Web/sites/config@2024-11-01' = if (clientAuth == 'entra') {
  parent: site
  name: 'authsettingsV2'
  properties: {
    platform: { enabled: true }
    globalValidation: {
      // Front Door and the platform's health check carry no token.
      excludedPaths: ['/api/health']
      requireAuthentication: true
      unauthenticatedClientAction: 'Return401'
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: entraClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: { allowedAudiences: [entraClientId, 'api://${entraClientId}'] }
      }
    }
    login: { tokenStore: { enabled: false } }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: site
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'FunctionAppLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

@description('Resource id of the app.')
output siteId string = site.id

@description('Name of the app.')
output siteName string = site.name

@description('Host name of the app.')
output hostName string = site.properties.defaultHostName
