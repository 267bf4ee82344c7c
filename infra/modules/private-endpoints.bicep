// One region's own names and addresses for the task hub's account: three zones, six endpoints.

@description('Required. Region of the endpoints; the account may be in another.')
param location string

@description('Required. Region code that begins every name.')
param namePrefix string

@description('Required. Storage account that holds the task hub.')
param storageAccountId string

@description('Required. Subnet that the endpoints take their addresses from.')
param subnetId string

@description('Required. The only network that these zones are linked to.')
param vnetId string

@description('Required. Also creates the endpoints of the secondary. False while the account has no readable secondary.')
param includeSecondary bool

@description('Required. Range of the endpoint subnet, from which pinned addresses are counted.')
param endpointSubnetPrefix string

@description('Required. Fixes the addresses (x.x.x.4 and up) instead of taking them in order. The member names of the secondary are unverified.')
param pinAddresses bool

@description('Required. Tags of every resource.')
param tags object

var services = [
  'blob'
  'queue'
  'table'
]

// The order is the order of the addresses: .4 is the primary blob endpoint, .5 its secondary, and so on.
var endpoints = [
  { groupId: 'blob', service: 0, secondary: false }
  { groupId: 'blob_secondary', service: 0, secondary: true }
  { groupId: 'queue', service: 1, secondary: false }
  { groupId: 'queue_secondary', service: 1, secondary: true }
  { groupId: 'table', service: 2, secondary: false }
  { groupId: 'table_secondary', service: 2, secondary: true }
]

var octets = split(split(endpointSubnetPrefix, '/')[0], '.')

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [for service in services: {
  name: 'privatelink.${service}.${environment().suffixes.storage}'
  location: 'global'
  tags: tags
}]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (service, i) in services: {
  parent: zones[i]
  name: 'link-${namePrefix}-${service}'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: { id: vnetId }
  }
}]

// One after the other: parallel creations against one account conflict, and in order the addresses come out in order.
@batchSize(1)
resource privateEndpoints 'Microsoft.Network/privateEndpoints@2024-07-01' = [for (endpoint, i) in endpoints: if (includeSecondary || !endpoint.secondary) {
  name: 'pe-${namePrefix}-${replace(endpoint.groupId, '_', '-')}'
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    ipConfigurations: pinAddresses ? [
      {
        name: 'pinned'
        properties: {
          groupId: endpoint.groupId
          memberName: endpoint.groupId
          privateIPAddress: '${octets[0]}.${octets[1]}.${octets[2]}.${int(octets[3]) + 4 + i}'
        }
      }
    ] : []
    privateLinkServiceConnections: [
      {
        name: endpoint.groupId
        properties: {
          privateLinkServiceId: storageAccountId
          groupIds: [endpoint.groupId]
        }
      }
    ]
  }
}]

resource zoneGroups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-07-01' = [for (endpoint, i) in endpoints: if (includeSecondary || !endpoint.secondary) {
  parent: privateEndpoints[i]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: services[endpoint.service]
        properties: { privateDnsZoneId: zones[endpoint.service].id }
      }
    ]
  }
}]

@description('Resource ids of the zones, in the order blob, queue, table.')
output zoneIds array = [for (service, i) in services: zones[i].id]
