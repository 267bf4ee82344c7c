// One region's own zone for the vault's name.

@description('Required. Region code that begins every name.')
param namePrefix string

@description('Required. The only network that the zone is linked to.')
param vnetId string

@description('Required. Tags of every resource.')
param tags object

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = {
  name: 'privatelink.vaultcore.azure.net'
  location: 'global'
  tags: tags
}

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = {
  parent: zone
  name: 'link-${namePrefix}-vault'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: { id: vnetId }
  }
}

@description('Resource id of the zone.')
output zoneId string = zone.id
