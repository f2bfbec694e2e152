import{T as e,p as t}from"./list-mwH9l57P.js";var n=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}},r=new n(`
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
    `),i=new n(`
    query SourceFile($id: Int!) {
  dataSource(id: $id) {
    dataType
    graphJson
    rowCount
    processedAt
  }
}
    `),a=new n(`
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
    `),o=new n(`
    query NodesPage($id: Int!, $first: Int!, $after: String, $offset: Int!) {
  graph(id: $id) {
    graphNodes(first: $first, after: $after, offset: $offset) {
      attrs
      cursor
    }
  }
}
    `),s=new n(`
    query EdgesPage($id: Int!, $first: Int!, $after: String, $offset: Int!) {
  graph(id: $id) {
    graphEdges(first: $first, after: $after, offset: $offset) {
      attrs
      cursor
    }
  }
}
    `);new n(`
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
    `);var c=class extends Error{};async function l(e,t){return t.kind===`graph`?p(t.id):t.kind===`source`?u(e,t.node.id,t.id):[]}async function u(n,i,a){let o=async(e,a)=>{let{datasourcePreview:o}=await t.request(r,{projectId:n,nodeId:i,offset:e,limit:a});if(!o)throw new c;return o},s;try{s=await o(0,1)}catch(t){if(t instanceof e&&t.code===`BAD_REQUEST`)return d(a);throw t}let l=e=>`${e.datasourceId} ${e.importDate} ${e.totalRows}`;return[{name:`Rows`,total:s.totalRows,columns:s.columns.map(({name:e})=>e),load:(e,t)=>h(e,t,async(e,t)=>{let n=await o(e,t);if(l(n)!==l(s))throw new c;return n.rows.map(({data:e})=>e)})}]}async function d(n){let{dataSource:r}=await t.request(i,{id:n});if(!r)throw new c;let{truncated:a,...o}=JSON.parse(r.graphJson);if(a)throw new e(`BAD_REQUEST`,`This file is too large to be shown as a whole. Download it, or run a graph that reads it.`);return[[`Nodes`,o.nodes],[`Edges`,o.edges],[`Layers`,o.layers]].flatMap(([e,t])=>t&&(t.length>0||r.dataType===`graph`)?[f(e,t)]:[])}function f(e,t){return{name:e,total:t.length,columns:t[0]?Object.keys(t[0]):[],load:(e,n)=>Promise.resolve(t.slice(e,e+n))}}async function p(e){let{graph:n}=await t.request(a,{id:e});if(!n)throw new c;let r=n.layers.map(({layerId:e,name:t,color:n,properties:r})=>({id:e,label:t,...n&&{color:n},...r}));return[m(e,`Nodes`,n.nodeCount,n.graphNodes[0],o,e=>e.graph?.graphNodes),m(e,`Edges`,n.edgeCount,n.graphEdges[0],s,e=>e.graph?.graphEdges),f(`Layers`,r)]}function m(n,r,i,a,o,s){let l=async(e,r)=>{let i=e===0?{offset:0}:{after:a.cursor,offset:e-1},l=s(await t.request(o,{id:n,first:r,...i}));if(l?.length!==r||e===0&&l[0].cursor!==a.cursor)throw new c;return l.map(({attrs:e})=>e)};return{name:r,total:i,columns:a?Object.keys(a.attrs):[],async load(t,n){try{return await h(t,n,l)}catch(t){throw t instanceof e&&t.code===`NOT_FOUND`?new c:t}}}}async function h(t,n,r){try{return await r(t,n)}catch(i){if(!(i instanceof e)||i.code!==`BAD_REQUEST`||n===1)throw i;let a=Math.ceil(n/2);return[...await h(t,a,r),...await h(t+a,n-a,r)]}}export{l as n,c as t};