// One more private endpoint of the region, for a resource both regions share: the vault or the journal.

@description('Required. Region of the endpoint.')
param location string

@description('Required. Name of the endpoint.')
param name string

@description('Required. Resource that the endpoint leads to.')
param targetId string

@description('Required. Sub-resource of the target.')
@allowed([
  'vault'
  'blob'
])
param groupId string

@description('Required. Subnet that the endpoint takes its address from.')
param subnetId string

@description('Required. The region\'s own zone that gets the record.')
param zoneId string

@description('Required. Tags of every resource.')
param tags object

resource privateEndpoint 'Microsoft.Network/privateEndpoints@2024-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      {
        name: groupId
        properties: {
          privateLinkServiceId: targetId
          groupIds: [groupId]
        }
      }
    ]
  }
}

resource zoneGroup 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-07-01' = {
  parent: privateEndpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: groupId
        properties: { privateDnsZoneId: zoneId }
      }
    ]
  }
}
