// What one app may do with the vault: read and write the secrets that are its function keys.

@description('Required. Vault that holds the keys.')
param vaultName string

@description('Required. Principal of the function app\'s identity.')
param principalId string

// Key Vault Secrets Officer: the host writes the keys when it starts for the first time.
var secretsOfficer = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource grant 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, principalId, secretsOfficer)
  scope: vault
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsOfficer)
  }
}
