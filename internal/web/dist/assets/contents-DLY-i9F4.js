import{A as e,_ as t,k as n}from"./list-Clq7IGf5.js";var r=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}},i=new r(`
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
    `),a=new r(`
    query SourceFile($id: Int!) {
  dataSource(id: $id) {
    dataType
    graphJson
    rowCount
    processedAt
  }
}
    `),o=new r(`
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
    `),s=new r(`
    query NodesPage($id: Int!, $first: Int!, $after: String, $offset: Int!) {
  graph(id: $id) {
    graphNodes(first: $first, after: $after, offset: $offset) {
      attrs
      cursor
    }
  }
}
    `),c=new r(`
    query EdgesPage($id: Int!, $first: Int!, $after: String, $offset: Int!) {
  graph(id: $id) {
    graphEdges(first: $first, after: $after, offset: $offset) {
      attrs
      cursor
    }
  }
}
    `),l=new r(`
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
    `),u=1200,d=200,[f,p,m]=[7.5,24,24];function h(e){return e==null?``:typeof e==`string`?e:JSON.stringify(e)}function g(e){let t=h(e);return(t.length>d?`${t.slice(0,d)}…`:t).replaceAll(`	`,`⇥`).replaceAll(/\r?\n|\r/g,`↵`)}function _(e){let t=e=>/[\t\n\r"]/.test(e)?`"${e.replaceAll(`"`,`""`)}"`:e;return e.map(e=>e.map(t).join(`	`)).join(`
`)}function v(e,t){let n=new Set(e);for(let e of t)for(let t in e)n.add(t);return n.size>e.length?[...n]:e}function y(e,t){let n=e=>Math.min(e.length,40)*f+p;return Math.round(Math.max(80,n(e)+m,...t.map(t=>n(g(t?.[e])))))}var b=24,x=2,S=class{#e;#t;#n=new Map;#r=new Set;#i=[];#a=null;#o;constructor(e,t){this.#e=e,this.#o=e.columns,this.#t=t}get columns(){return this.#o}row(e){return this.#n.get(Math.floor(e/500))?.[e%500]}get failure(){return this.#a}want(e,t){let[n,r]=[e-125,t+125].map(e=>Math.floor(Math.max(0,Math.min(e,this.#e.total-1))/500)),i=(e+t)/2/500;this.#i=Array.from({length:r-n+1},(e,t)=>n+t).toSorted((e,t)=>Math.abs(e+.5-i)-Math.abs(t+.5-i)),this.#s()}retry(){this.#a=null,this.#t(),this.#s()}#s(){for(let e of this.#e.total>0?this.#i:[]){if(this.#a||this.#r.size>=x)return;if(this.#n.has(e)||this.#r.has(e))continue;this.#r.add(e);let t=e*500;this.#e.load(t,Math.min(500,this.#e.total-t)).then(t=>this.#c(e,t),e=>{this.#a=e}).finally(()=>{this.#r.delete(e),this.#t(),this.#s()})}}#c(e,t){this.#n.set(e,t),this.#o=v(this.#o,t);let n=this.#i[0]??e;this.#n.size>b&&this.#n.delete([...this.#n.keys()].toSorted((e,t)=>Math.abs(t-n)-Math.abs(e-n))[0])}};async function C(t,n,r){try{return await r(t,n)}catch(i){if(!(i instanceof e&&typeof i.detail==`object`&&i.detail!==null&&`limit`in i.detail)||n===1)throw i;let a=Math.ceil(n/2);return[...await C(t,a,r),...await C(t+a,n-a,r)]}}var w=class extends Error{message=`Somebody deleted or replaced it meanwhile.`};async function T(e,t){return t.kind===`graph`?k(t.id):t.kind===`source`?E(e,t.node.id,t.id):[]}async function E(n,r,a){let o=async(e,a)=>{let{datasourcePreview:o}=await t.request(i,{projectId:n,nodeId:r,offset:e,limit:a});if(!o)throw new w;return o},s;try{s=await o(0,1)}catch(t){if(t instanceof e&&t.code===`BAD_REQUEST`)return D(a);throw t}let c=e=>`${e.datasourceId} ${e.importDate} ${e.totalRows}`;return[{name:`Rows`,total:s.totalRows,columns:s.columns.map(({name:e})=>e),load:(e,t)=>j(C(e,t,async(e,t)=>{let n=await o(e,t);if(c(n)!==c(s))throw new w;return n.rows.map(({data:e})=>e)}))}]}async function D(n){let{dataSource:r}=await t.request(a,{id:n});if(!r)throw new w;let{truncated:i,...o}=JSON.parse(r.graphJson);if(i)throw new e(`BAD_REQUEST`,`This file is too large to be shown as a whole. Download it, or run a graph that reads it.`);return[[`Nodes`,o.nodes],[`Edges`,o.edges],[`Layers`,o.layers]].flatMap(([e,t])=>t&&(t.length>0||r.dataType===`graph`)?[O(e,t)]:[])}function O(e,t){return{name:e,total:t.length,columns:t[0]?Object.keys(t[0]):[],load:(e,n)=>Promise.resolve(t.slice(e,e+n))}}async function k(e){let{graph:n}=await t.request(o,{id:e});if(!n)throw new w;let r=n.layers.map(({layerId:e,name:t,color:n,properties:r})=>({id:e,label:t,...n&&{color:n},...r}));return[A(e,`Nodes`,n.nodeCount,n.graphNodes[0],s,e=>e.graph?.graphNodes),A(e,`Edges`,n.edgeCount,n.graphEdges[0],c,e=>e.graph?.graphEdges),O(`Layers`,r)]}function A(e,n,r,i,a,o){let s=async(n,r)=>{let s=n===0?{offset:0}:{after:i.cursor,offset:n-1},c=o(await t.request(a,{id:e,first:r,...s}));if(c?.length!==r||n===0&&c[0].cursor!==i.cursor)throw new w;return c.map(({attrs:e})=>e)};return{name:n,total:r,columns:N(Object.keys(i?.attrs??{})),load:(e,t)=>j(C(e,t,s))}}async function j(t){try{return await t}catch(t){throw t instanceof e?t.code===`NOT_FOUND`?new w:n(t)?new e(`UNAVAILABLE`,`The server is being updated, and this part of it cannot show graphs as tables yet.`):t:t}}var M=[`id`,`source`,`target`,`label`,`layer`],N=e=>[...M.filter(t=>e.includes(t)),...e.filter(e=>!M.includes(e))];export{g as a,u as c,_ as i,l,T as n,y as o,S as r,h as s,w as t};