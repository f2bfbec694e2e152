window.graphData = {
  "nodes": [
    {
      "id": "db",
      "name": "Database",
      "layer": "infra",
      "attrs": {
        "is_partition": "false",
        "weight": "1",
        "type": "infra"
      }
    },
    {
      "id": "job",
      "name": "Nightly job",
      "layer": "app",
      "attrs": {
        "is_partition": "false",
        "weight": "1",
        "type": "app"
      }
    },
    {
      "id": "web",
      "name": "Web & API",
      "layer": "app",
      "attrs": {
        "is_partition": "false",
        "weight": "1",
        "type": "app"
      }
    }
  ],
  "links": [
    {
      "id": "e2",
      "source": "job",
      "target": "db",
      "name": "",
      "layer": "infra",
      "attrs": {
        "weight": "1",
        "type": "infra"
      }
    },
    {
      "id": "e1",
      "source": "web",
      "target": "db",
      "name": "reads",
      "layer": "app",
      "attrs": {
        "weight": "3",
        "type": "app"
      }
    },
    {
      "id": "e3",
      "source": "web",
      "target": "job",
      "name": "starts",
      "layer": "app",
      "attrs": {
        "weight": "1",
        "type": "app"
      }
    }
  ]
};
window.graphConfig = {
  "config": {
    "contain_nodes": true,
    "orientation": "LR"
  },
  "layers": {
    "app": {
      "background_color": "1f6feb",
      "border_color": "0d419d",
      "id": "app",
      "label": "Application",
      "text_color": "ffffff"
    },
    "infra": {
      "background_color": "eeeeee",
      "border_color": "999999",
      "id": "infra",
      "label": "Infrastructure",
      "text_color": "000000"
    }
  },
  "name": "Tiny"
};
