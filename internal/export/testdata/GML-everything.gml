graph [
    directed 1
    id 0
    label "Tiny"
    node [
      id 0
      name "db"
      label "Database"
      type "flow"
      layer "infra"
      weight 1
    ]
    node [
      id 1
      name "job"
      label "Nightly job"
      type "flow"
      layer "app"
      weight 1
      comment "runs at 02:00"
    ]
    node [
      id 2
      name "sys"
      label "System"
      type "hierarchy"
      layer "infra"
      weight 1
    ]
    node [
      id 3
      name "web"
      label "Web &amp; API"
      type "flow"
      layer "app"
      weight 1
    ]

    edge [
      id "e2"
      type "flow"
      source 1
      target 0
      layer "infra"
      weight 1
    ]
    edge [
      id "e1"
      type "flow"
      source 3
      target 0
      layer "app"
      weight 3
    ]
    edge [
      id "e3"
      type "flow"
      source 3
      target 1
      layer "app"
      weight 1
      comment "cron"
    ]

    edge [
      id "sys_web"
      type "hierarchy"
      source 2
      target 3
      layer "infra"
      weight 1
    ]
    edge [
      id "sys_db"
      type "hierarchy"
      source 2
      target 0
      layer "infra"
      weight 1
    ]
    edge [
      id "sys_job"
      type "hierarchy"
      source 2
      target 1
      layer "infra"
      weight 1
    ]
]
