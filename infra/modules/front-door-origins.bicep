// Optional: primary first, standby second. A stopped app answers 403, so the probe alone moves the traffic.

@description('Required. Profile made by front-door.bicep.')
param profileName string

@description('Required. Endpoint made by front-door.bicep.')
param endpointName string

@description('Required. Host name of the primary region\'s app.')
param primaryHostName string

@description('Required. Host name of the standby region\'s app.')
param standbyHostName string

var origins = [
  { name: 'primary', hostName: primaryHostName, priority: 1 }
  { name: 'standby', hostName: standbyHostName, priority: 2 }
]

resource profile 'Microsoft.Cdn/profiles@2025-04-15' existing = {
  name: profileName
}

resource endpoint 'Microsoft.Cdn/profiles/afdEndpoints@2025-04-15' existing = {
  parent: profile
  name: endpointName
}

resource originGroup 'Microsoft.Cdn/profiles/originGroups@2025-04-15' = {
  parent: profile
  name: 'regions'
  properties: {
    healthProbeSettings: {
      probeIntervalInSeconds: 30
      probePath: '/api/health'
      probeProtocol: 'Https'
      probeRequestType: 'GET'
    }
    loadBalancingSettings: {
      additionalLatencyInMilliseconds: 0
      sampleSize: 4
      successfulSamplesRequired: 3
    }
    sessionAffinityState: 'Disabled'
  }
}

resource regionOrigins 'Microsoft.Cdn/profiles/originGroups/origins@2025-04-15' = [for origin in origins: {
  parent: originGroup
  name: origin.name
  properties: {
    enabledState: 'Enabled'
    enforceCertificateNameCheck: true
    hostName: origin.hostName
    httpsPort: 443
    originHostHeader: origin.hostName
    priority: origin.priority
    weight: 1000
  }
}]

resource route 'Microsoft.Cdn/profiles/afdEndpoints/routes@2025-04-15' = {
  parent: endpoint
  name: 'everything'
  properties: {
    enabledState: 'Enabled'
    forwardingProtocol: 'HttpsOnly'
    httpsRedirect: 'Enabled'
    linkToDefaultDomain: 'Enabled'
    originGroup: { id: originGroup.id }
    patternsToMatch: ['/*']
    supportedProtocols: ['Https']
  }
  dependsOn: [regionOrigins]
}
