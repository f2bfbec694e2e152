graph [
    id 0
    label "Graph"
    node [
      id db
      label "Database"
      type "flow"
      layer "infra"
      weight 1
    ]
    node [
      id job
      label "Nightly job"
      type "flow"
      layer "app"
      weight 2
      comment "runs at 02:00"
    ]
    node [
      id web
      label "Web &amp; API"
      type "flow"
      layer "app"
      weight 1
    ]

    edge [
      id e2
      type "flow"
      source job
      target db
      layer "infra"
      weight 1
    ]
    edge [
      id e1
      type "flow"
      source web
      target db
      layer "app"
      weight 3
    ]
    edge [
      id e3
      type "flow"
      source web
      target job
      layer "app"
      weight 1
      comment "cron"
    ]

    node [
      id db
      label "Database"
      type "hierarchy"
      layer "infra"
      weight 1
    ]
    node [
      id job
      label "Nightly job"
      type "hierarchy"
      layer "app"
      weight 2
      comment "runs at 02:00"
    ]
    node [
      id sys
      label "System"
      type "hierarchy"
      layer "infra"
      weight 1
    ]
    node [
      id web
      label "Web &amp; API"
      type "hierarchy"
      layer "app"
      weight 1
    ]

    edge [
      id sys_web
      type "hierarchy"
      source sys
      target web
      layer "infra"
      weight 1
    ]
    edge [
      id sys_db
      type "hierarchy"
      source sys
      target db
      layer "infra"
      weight 1
    ]
    edge [
      id sys_job
      type "hierarchy"
      source sys
      target job
      layer "infra"
      weight 1
    ]
]
