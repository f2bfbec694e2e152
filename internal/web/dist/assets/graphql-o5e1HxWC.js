var e=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}},t=new e(`
    query SourceRows($projectId: Int!, $nodeId: String!, $limit: Int!, $offset: Int!) {
  datasourcePreview(
    projectId: $projectId
    nodeId: $nodeId
    limit: $limit
    offset: $offset
  ) {
    datasourceId
    fileType
    totalRows
    importDate
    columns {
      name
    }
    rows {
      data
    }
  }
}
    `),n=new e(`
    query SourceFile($id: Int!) {
  dataSource(id: $id) {
    dataType
    graphJson
    rowCount
    processedAt
  }
}
    `),r=new e(`
    query GraphParts($id: Int!) {
  graph(id: $id) {
    nodeCount
    edgeCount
    graphNodes(first: 1) {
      attrs
      cursor
    }
    graphEdges(first: 1) {
      attrs
      cursor
    }
    layers {
      layerId
      name
      color
      properties
    }
  }
}
    `),i=new e(`
    query NodesPage($id: Int!, $first: Int!, $after: String, $offset: Int!) {
  graph(id: $id) {
    graphNodes(first: $first, after: $after, offset: $offset) {
      attrs
      cursor
    }
  }
}
    `),a=new e(`
    query EdgesPage($id: Int!, $first: Int!, $after: String, $offset: Int!) {
  graph(id: $id) {
    graphEdges(first: $first, after: $after, offset: $offset) {
      attrs
      cursor
    }
  }
}
    `),o=new e(`
    query GraphPicture($projectId: Int!, $nodeId: String!) {
  graphPreview(projectId: $projectId, nodeId: $nodeId) {
    name
    nodeCount
    edgeCount
    truncated
    nodes {
      id
      label
      layer
    }
    edges {
      source
      target
    }
    layers {
      layerId
      name
      color
      properties
    }
  }
}
    `);export{n as a,i,r as n,t as o,o as r,a as t};