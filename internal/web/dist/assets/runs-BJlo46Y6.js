import{A as e,f as t,g as n,k as r,p as i,u as a}from"./list-B2mwuy8a.js";import{C as o,H as s,U as c,X as l,q as u,z as d}from"./canvas-DjnHquMR.js";var f=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}},p=new f(`
    query ProjectAccess($projectId: Int!) {
  project(id: $projectId) {
    role
    plan {
      id
    }
  }
}
    `),m=new f(`
    query Staleness($projectId: Int!) {
  graphs(projectId: $projectId) {
    nodeId
    stale
    staleBecause
  }
}
    `),h=new f(`
    query Source($id: Int!) {
  dataSource(id: $id) {
    id
    name
    filename
    fileFormat
    dataType
    fileSizeFormatted
    status
    errorMessage
    processedAt
    rowCount
    problemCount
    problems {
      row
      column
      reason
      warning
    }
  }
}
    `),g=new f(`
    query Built($id: Int!) {
  graph(id: $id) {
    nodeCount
    edgeCount
    computedDate
    errorMessage
    layers {
      layerId
    }
  }
}
    `),_=new f(`
    mutation Reprocess($id: Int!, $opId: String!, $clientId: String!) {
  reprocessDataSource(id: $id, opId: $opId, clientId: $clientId) {
    id
  }
}
    `),v=new f(`
    mutation DeleteSource($id: Int!, $opId: String!, $clientId: String!) {
  deleteDataSource(id: $id, opId: $opId, clientId: $clientId)
}
    `),y=new f(`
    mutation ExecuteNode($projectId: Int!, $nodeId: String!, $opId: String!, $clientId: String!) {
  executeNode(
    projectId: $projectId
    nodeId: $nodeId
    opId: $opId
    clientId: $clientId
  ) {
    message
  }
}
    `),b=new f(`
    mutation ExecutePlan($id: Int!, $opId: String!, $clientId: String!) {
  executePlan(id: $id, opId: $opId, clientId: $clientId) {
    message
  }
}
    `),x=new f(`
    mutation Cancel($projectId: Int!, $nodeId: String, $opId: String!, $clientId: String!) {
  cancelExecution(
    projectId: $projectId
    nodeId: $nodeId
    opId: $opId
    clientId: $clientId
  )
}
    `),S=new f(`
    subscription Executions($projectId: Int!) {
  executions(projectId: $projectId) {
    nodeId
    state
    phase
    done
    total
    attempt
    replica
  }
}
    `),C={progress:new Map,stale:new Map};function w({graphExecution:e}){return e?.executionState===`pending`||e?.executionState===`processing`}function T(e,t){let{datasourceExecution:n,graphExecution:r}=e;if(n)return n.executionState===`error`?D(n.errorMessage):n.executionState===`completed`?{kind:`done`,sign:`✓`,words:`Read ${n.filename}`}:{kind:`waiting`,sign:`…`,words:`Being read`};if(r)switch(r.executionState){case`pending`:case`processing`:return O(r.executionState,t.progress.get(e.id));case`error`:return D(r.errorMessage);case`completed`:{let n=t.stale.get(e.id);return n?.of===r?{kind:`stale`,sign:`△`,words:[`Out of date`,...n.because.length>0?[n.because.join(`, `)]:[]].join(`: `)}:{kind:`done`,sign:`✓`,words:E(r)}}default:return}}function E({nodeCount:e,edgeCount:t}){return`${a(e,`node`,`nodes`)}, ${a(t,`edge`,`edges`)}`}function D(e){return{kind:`failed`,sign:`✕`,words:e?`Failed: ${e}`:`Failed`}}function O(e,t){let n=t&&t.attempt>1?[`attempt ${t.attempt}`]:[];if(e===`pending`&&t?.state!==`processing`)return{kind:`waiting`,sign:`…`,words:[`Waiting`,...n].join(`, `)};let{phase:r,done:i,total:a,replica:o}=t??{},s=typeof i==`number`&&(i>0||typeof a==`number`)?[` ${i.toLocaleString(`en`)}${typeof a==`number`?` of ${a.toLocaleString(`en`)}`:``}`]:[];return{kind:`building`,sign:`▸`,words:[`Building${(r?[`: ${r}`,...s]:[]).join(``)}`,...n,...o?[`on replica ${o.slice(0,8)}`]:[]].join(`, `)}}function k(e,t,n){let r=new Map,i=!0;for(let a of e.nodes.values()){let e=n.get(a.id),o=T(a,t);o&&e&&o.kind===e.kind&&o.words===e.words&&(o=e),o&&r.set(a.id,o),i&&=o===e}return i&&r.size===n.size?n:r}function A(e,t){let n=(e,t)=>t!==void 0&&e.nodeType===t.nodeType&&e.config===t.config&&e.graphExecution===t.graphExecution&&e.datasourceExecution===t.datasourceExecution;return e.nodes.size===t.nodes.size&&e.edges.size===t.edges.size&&[...t.nodes.values()].every(t=>n(t,e.nodes.get(t.id)))&&[...t.edges.values()].every(t=>e.edges.get(t.id)===t)}var j=3;function M(e,t,n){let r=[...t].flatMap(([t,{kind:r}])=>{let i=e.nodes.get(t),a=n.get(t);return!i?.graphExecution||r!==`waiting`&&r!==`building`||a?.kind===`waiting`||a?.kind===`building`?[]:[{label:i.metadata.label||t,now:a}]}),i=({now:e})=>e?.kind===`failed`;if(r.length>j){let e=r.filter(i).length;return`${a(r.length-e,`build has`,`builds have`)} ended${e>0?`, and ${e} failed`:``}`}return r.map(e=>i(e)?`${e.label}: ${e.now.words}`:e.now?.kind===`done`?`${e.label} is built: ${e.now.words}`:`The build of ${e.label} has ended`).join(`. `)}function N(e,t){let n;if(t===null)n=new Set(e.nodes.keys());else{n=new Set([t]);for(let t of n)for(let{source:r,target:i}of e.edges.values())i===t&&n.add(r)}return[...e.nodes.values()].filter(({id:e,nodeType:t,datasourceExecution:r})=>n.has(e)&&t===`DataSourceNode`&&!r)}function P(e){let{nodes:t,edges:n}=s(e),r=t.length===1&&n.length===0?d(e)?.nodes.get(t[0]):void 0;return r&&r.nodeType!==`DataSourceNode`&&l(e)?r.id:null}function F(e,t){return[...d(e)?.nodes.values()??[]].some(e=>(t===null||e.id===t)&&w(e))}async function I(r,a){let s=d(r);if(!s)return;let l=N(s,a),f=[...s.nodes.values()].filter(({nodeType:e})=>e===`DataSourceNode`);if(l.length>0&&(a!==null||l.length===f.length)){let e=t.format(l.map(({id:e,metadata:t})=>`“${t.label||e}”`));return c(r,`${e} ${l.length===1?`has no file: drop a CSV, TSV or JSON file on it`:`have no file: drop a CSV, TSV or JSON file on each`}, or select it and choose one.`)}let{id:m}=r.project,h={opId:e(),clientId:n.clientId};try{r.project.plan.snapshot().waiting>0&&u(r,`The run waits until your edits are sent`),await R(r);let{message:e}=await o(async()=>{if(a!==null)return(await n.request(y,{projectId:m,nodeId:a,...h})).executeNode;let{project:e}=await n.request(p,{projectId:m});return(await n.request(b,{id:e.plan.id,...h})).executePlan});u(r,e)}catch(e){c(r,`Not built: ${i(e)}`)}}async function L(t,r){let a={projectId:t.project.id,nodeId:r,opId:e(),clientId:n.clientId};try{let{cancelExecution:e}=await o(()=>n.request(x,a));u(t,e?`Cancelled. What was built before is still there`:`There was nothing to cancel`)}catch(e){c(t,`Not cancelled: ${i(e)}`)}}function R({project:{plan:e}}){return new Promise((t,n)=>{let i=()=>{let{waiting:i,status:o}=e.snapshot();i>0&&o.state!==`ended`||(a(),o.state===`ended`?n(new r(o.failure.code,o.failure.message)):t())},a=e.subscribe(i);i()})}export{M as a,C as c,v as d,S as f,m as g,h,P as i,k as l,_ as m,F as n,w as o,p,I as r,A as s,L as t,g as u};