// The alerts that matter: both regions at work, work that nobody takes, instances that fail, an account that is gone.

@description('Required. Region of the rules: the one that is expected to survive.')
param location string

@description('Required. Part of every name.')
param token string

@description('Required. Workspace of the primary region.')
param primaryWorkspaceId string

@description('Required. Workspace of the standby region.')
param standbyWorkspaceId string

@description('Required. Function apps of both regions.')
param siteIds array

@description('Required. Storage account that holds the task hub.')
param storageAccountId string

@description('Required. Address that gets the mails. Empty: alerts are only seen in the portal.')
param alertEmail string

@description('Required. Tags of every resource.')
param tags object

var bothWorkspaces = 'union isfuzzy=true (workspace("${primaryWorkspaceId}").AppTraces), (workspace("${standbyWorkspaceId}").AppTraces)'

// One row per question asked of the logs; adding one is adding a row.
var questions = {
  bothRegionsAtWork: {
    description: 'Both apps sent telemetry in the same minutes. Two apps on one task hub split the activities between them: stop one, see docs/runbook.md.'
    severity: 0
    query: '${bothWorkspaces} | where TimeGenerated > ago(5m) | summarize apps = dcount(AppRoleName) | where apps > 1'
  }
  workIsNotPickedUp: {
    description: 'Orchestrations were scheduled more than five minutes ago and have not started.'
    severity: 1
    query: '${bothWorkspaces} | where tostring(Properties["prop__functionType"]) == "Orchestrator" | extend instance = tostring(Properties["prop__instanceId"]), state = tostring(Properties["prop__state"]) | summarize scheduled = minif(TimeGenerated, state == "Scheduled"), started = minif(TimeGenerated, state == "Started") by instance | where isnotnull(scheduled) and isnull(started) and scheduled < ago(5m)'
  }
  instancesFail: {
    description: 'Orchestrations ended as Failed.'
    severity: 2
    query: '${bothWorkspaces} | where tostring(Properties["prop__functionType"]) == "Orchestrator" and tostring(Properties["prop__state"]) == "Failed" | where tostring(Properties["prop__isReplay"]) != "True" | summarize by instance = tostring(Properties["prop__instanceId"])'
  }
}

// Operations that nobody should be surprised by.
var operations = {
  appStarted: 'Microsoft.Web/sites/start/action'
  appStopped: 'Microsoft.Web/sites/stop/action'
}

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${token}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'durable'
    emailReceivers: empty(alertEmail) ? [] : [
      { name: 'on-call', emailAddress: alertEmail, useCommonAlertSchema: true }
    ]
  }
}

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for question in items(questions): {
  name: 'alert-${question.key}-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    actions: { actionGroups: [people.id] }
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: question.value.query
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: { minFailingPeriodsToAlert: 1, numberOfEvaluationPeriods: 1 }
        }
      ]
    }
    description: question.value.description
    displayName: question.key
    enabled: true
    evaluationFrequency: 'PT5M'
    scopes: [standbyWorkspaceId]
    severity: question.value.severity
    // The tables appear with the first telemetry, which comes after the first deployment.
    skipQueryValidation: true
    windowSize: 'PT15M'
  }
}]

resource accountGone 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'alert-accountUnavailable-${token}'
  location: 'global'
  tags: tags
  properties: {
    actions: [{ actionGroupId: people.id }]
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'availability'
          criterionType: 'StaticThresholdCriterion'
          metricName: 'Availability'
          metricNamespace: 'Microsoft.Storage/storageAccounts'
          operator: 'LessThan'
          threshold: 99
          timeAggregation: 'Average'
        }
      ]
    }
    description: 'The task hub\'s account answers less than 99 of 100 requests. Look at python -m recovery status.'
    enabled: true
    evaluationFrequency: 'PT1M'
    scopes: [storageAccountId]
    severity: 1
    windowSize: 'PT5M'
  }
}

resource appOperations 'Microsoft.Insights/activityLogAlerts@2020-10-01' = [for operation in items(operations): {
  name: 'alert-${operation.key}-${token}'
  location: 'global'
  tags: tags
  properties: {
    actions: { actionGroups: [{ actionGroupId: people.id }] }
    condition: {
      allOf: [
        { field: 'category', equals: 'Administrative' }
        { field: 'operationName', equals: operation.value }
      ]
    }
    description: 'Somebody ran ${operation.value} on one of the two apps.'
    enabled: true
    scopes: siteIds
  }
}]

resource failoverStarted 'Microsoft.Insights/activityLogAlerts@2020-10-01' = {
  name: 'alert-accountFailedOver-${token}'
  location: 'global'
  tags: tags
  properties: {
    actions: { actionGroups: [{ actionGroupId: people.id }] }
    condition: {
      allOf: [
        { field: 'category', equals: 'Administrative' }
        { field: 'operationName', equals: 'Microsoft.Storage/storageAccounts/failover/action' }
      ]
    }
    description: 'The task hub\'s account is being failed over.'
    enabled: true
    scopes: [storageAccountId]
  }
}
