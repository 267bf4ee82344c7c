"""A local host for Azure Functions and the Durable extension, its storage accounts lost and failed over at will.

    __main__            the commands: python -m lab host | drill | simulate
    settings            host.json, local.settings.json and flags as one frozen Settings
    host                puts the parts together: the worker, the hub's client, the engine, the server
    worker/             loads the app and runs its functions, in a process of its own or in this one
    function_index      which functions the app has, by trigger and by name
    server, gateway     the port; HTTP triggers: request in, response out (routes: the templates)
    management_api      the Durable extension's HTTP API (client_binding: what a durable client gets)
    orchestrations, activities, entities
                        take the hub's messages, have the worker run what is due, apply what came of it
    acceptance, outgoing
                        which messages count in a turn, and which messages a turn sends
    handover, settling  a host's messages to itself; what ends a turn, in the background (rows: some of them later)
    episodes, shim, determinism
                        one turn of an orchestrator, and the rules of what may follow what
    engine              puts these together; deliveries: messages in hand; partitions, leases, app_lease: who may work
    triggers/           the other triggers, one file each, and the bindings beside them
    testing             the test kit: an app's orchestrations in virtual time (virtual_time: the loop that skips)
    geo_pair, lag       a geo-replicated account, and how far its secondary is behind; in_hand: what a lost host held
    drills/             one failure each, on real hosts; report: what a drill found
    simulate, simulation/
                        a thousand failovers with their recovery, in memory
    gateways            stand-ins for the services that the workflows call

Glossary
    account             a storage account: tables, queues, blobs
    hub                 a task hub: the tables, queues and blobs of one app's instances in an account
    instance            one orchestration or entity, known by its id
    execution           one life of an instance: continue-as-new begins another
    history             the events of an execution, in order
    episode             one turn of an orchestrator: history in, actions out
    session             an orchestrator kept alive between episodes
    worker              the process that runs the app's functions
    hook                the path of the management API, /runtime/webhooks/durabletask
    drill               a failure brought about on purpose, and the verdict on what survived
"""
