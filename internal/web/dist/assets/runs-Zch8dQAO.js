import{A as e,a as t,f as n,g as r,k as i,p as a,u as o}from"./list-B2mwuy8a.js";import{C as s,H as c,U as l,X as u,q as d,z as f}from"./canvas-BinrG0aA.js";var p=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}},m=new p(`
    query ProjectAccess($projectId: Int!) {
  project(id: $projectId) {
    role
    plan {
      id
    }
  }
}
    `),h=new p(`
    query Staleness($projectId: Int!) {
  graphs(projectId: $projectId) {
    nodeId
    stale
    staleBecause
  }
}
    `),g=new p(`
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
    `),_=new p(`
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
    `),v=new p(`
    mutation Reprocess($id: Int!, $opId: String!, $clientId: String!) {
  reprocessDataSource(id: $id, opId: $opId, clientId: $clientId) {
    id
  }
}
    `),y=new p(`
    mutation DeleteSource($id: Int!, $opId: String!, $clientId: String!) {
  deleteDataSource(id: $id, opId: $opId, clientId: $clientId)
}
    `),ee=new p(`
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
    `),te=new p(`
    mutation ExecutePlan($id: Int!, $opId: String!, $clientId: String!) {
  executePlan(id: $id, opId: $opId, clientId: $clientId) {
    message
  }
}
    `),b=new p(`
    mutation Cancel($projectId: Int!, $nodeId: String, $opId: String!, $clientId: String!) {
  cancelExecution(
    projectId: $projectId
    nodeId: $nodeId
    opId: $opId
    clientId: $clientId
  )
}
    `),x=new p(`
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
    `),S=[`nodes`,`edges`,`layers`,`graph`],C=2,w=256<<20,T=({state:{at:e}})=>e===`sending`||e===`sent`,E=e=>T(e)||e.state.at===`waiting`||e.state.at===`busy`;function D(e){let t=C-e.filter(T).length;return e.filter(({state:e})=>e.at===`waiting`).slice(0,Math.max(0,t))}function ne({name:e,size:t,isFolder:n}){if(n)return`This is a folder. Drop the files that are in it.`;let r=/\.[^.]*$/.exec(e)?.[0]??``;return/^\.(csv|tsv|json)$/i.test(r)?t===0?`This file is empty: it has 0 bytes. Take one with a header and rows.`:null:`${r?`A file that ends in ${r}`:`A file without an ending`} cannot be read. Take a .csv, a .tsv or a .json file.`}var O=[`bytes`,`kB`,`MB`,`GB`];function k(e){let t=Math.min(O.length-1,Math.max(0,Math.floor(Math.log2(Math.max(e,1))/10)));return`${t===0?e:(e/1024**t).toFixed(1)} ${O[t]}`}function A({file:{size:e},target:t,state:n}){switch(n.at){case`waiting`:return`Waits, ${k(e)}`;case`busy`:return`${n.why}. It is tried again by itself.`;case`sending`:return`${k(n.sent)} of ${k(e)} sent`;case`sent`:return`All ${k(e)} sent, the server is reading the rest`;case`done`:return[`${`replaces`in t?`Replaced,`:`Added as`} ${n.dataType}, ${o(n.rows,`row`,`rows`)}`,...n.problems>0?[`${o(n.problems,`warning`,`warnings`)}, listed in the inspector`]:[]].join(`, `);case`refused`:case`lost`:case`stopped`:return n.why}}function j(e,t){return`The connection broke at ${e>0?Math.min(99,Math.floor(t/e*100)):0} %, ${k(Math.min(t,e))} of ${k(e)}. Try again: it is added once, however often you try.`+(e>=w?` A server takes ${k(w)} at once, unless its operator says otherwise.`:``)}function M(e){let t=[[e.filter(T).length,`being sent`],[e.filter(({state:{at:e}})=>e===`waiting`||e===`busy`).length,`waiting`],[e.filter(({state:{at:e}})=>e===`done`).length,`added`],[e.filter(({state:{at:e}})=>e===`refused`||e===`lost`||e===`stopped`).length,`not added`]];return`${o(e.length,`file`,`files`)}: ${t.filter(([e])=>e>0).map(([e,t])=>`${e} ${t}`).join(`, `)}`}var N=5;function P({x:e,y:t},n){return Array.from({length:n},(n,r)=>({x:Math.round(e-100+Math.floor(r/N)*260),y:Math.round(t-32+r%N*110)}))}function F(e,t){let n;try{n=JSON.parse(e)?.error}catch{return null}if(typeof n?.message!=`string`)return null;let r=Array.isArray(n.problems)?n.problems.map(String):typeof n.detail==`string`?[n.detail]:[],i=typeof n.total==`number`?n.total-r.length:0,a=n.code===`UNAVAILABLE`||n.code===`RATE_LIMITED`;return{why:n.message,problems:i>0?[...r,`and ${i.toLocaleString(`en`)} more`]:r,retryAfterMs:a?(Number(t)||1)*1e3:null}}var I=6e4;function L(e,{file:t,target:n,kind:i,opId:a},o,s){let c=new XMLHttpRequest,l=`replaces`in n?`data-sources/${n.replaces}/file`:`projects/${e}/data-sources`,u=new URLSearchParams({op_id:a,client_id:r.clientId,keep_bad:`false`});c.open(`POST`,`/api/${l}?${u}`),r.name&&c.setRequestHeader(`x-layercake-name`,encodeURIComponent(r.name.toWellFormed()));let d=0,f=!1,p,m=e=>{f||(f=!0,clearTimeout(p),s(e))},h=()=>{c.abort(),m({at:`lost`,why:j(t.size,d)})},g=()=>{clearTimeout(p),p=setTimeout(h,I)};return c.upload.addEventListener(`progress`,({loaded:e})=>{g(),d=Math.min(e,t.size),f||o({at:`sending`,sent:d})}),c.upload.addEventListener(`load`,()=>{d=t.size,f||o({at:`sent`})}),c.addEventListener(`load`,()=>m(z(c)??{at:`lost`,why:j(t.size,d)})),c.addEventListener(`error`,h),g(),c.send(R(t,n,i)),()=>{f=!0,clearTimeout(p),c.abort()}}function R(e,t,n){let r=new FormData;return`place`in t&&(r.set(`x`,String(t.place.x)),r.set(`y`,String(t.place.y))),`node`in t&&r.set(`node`,t.node),n&&r.set(`data_type`,n),r.set(`file`,e),r}function z(e){let{status:t,responseText:n}=e;if(t>=200&&t<300)try{let{dataSources:[e],nodeIds:t}=JSON.parse(n);return{at:`done`,rows:e.rowCount,dataType:e.dataType,problems:e.problemCount,nodeIds:t??[]}}catch{return null}let r=F(n,e.getResponseHeader(`retry-after`));if(!r)return null;let{why:i,problems:a,retryAfterMs:o}=r;return o===null?{at:`refused`,why:i,problems:a}:{again:o,why:i}}var B=60,V=class{store=t([]);#e;#t=new Map;#n=new Map;constructor(e){this.#e=e}add(t,n,r=!1){let i=ne({name:t.name,size:t.size,isFolder:r}),a=i===null?{at:`waiting`}:{at:`refused`,why:i,problems:[]};this.store.set([...this.store.get(),{id:++H,file:t,target:n,kind:null,opId:e(),state:a}]),this.#i()}stop(e){for(let{id:t,state:n}of e){this.#t.get(t)?.(),this.#t.delete(t);let e=n.at===`sent`?`Stopped after all was sent, so it may be added all the same.`:`Stopped. Nothing was added.`;this.#r(t,{at:`stopped`,why:e})}this.#i()}again(t,n=t.kind){let r=n!==t.kind||t.state.at===`refused`;this.#n.delete(t.id),this.store.set(this.store.get().map(i=>i.id===t.id?{...i,kind:n,opId:r?e():i.opId,state:{at:`waiting`}}:i)),this.#i()}dismissDone(){this.dismiss(this.store.get().filter(({state:e})=>e.at===`done`).map(({id:e})=>e))}dismiss(e){this.store.set(this.store.get().filter(t=>E(t)||!e.includes(t.id))),this.#i()}#r(e,t){this.store.set(this.store.get().map(n=>n.id===e?{...n,state:t}:n))}#i(){for(let e of D(this.store.get())){let{id:t}=e;this.#r(t,{at:`sending`,sent:0}),this.#t.set(t,L(this.#e,e,e=>this.#r(t,e),e=>{this.#t.delete(t),`at`in e?this.#r(t,e):this.#a(t,e),this.#i()}))}q(this,this.store.get().some(E))}#a(e,{again:t,why:n}){let r=(this.#n.get(e)??0)+1;if(this.#n.set(e,r),r>B)return this.#r(e,{at:`lost`,why:`${n}. Try again later.`});this.#r(e,{at:`busy`,why:n});let i=setTimeout(()=>{this.#t.delete(e),this.#r(e,{at:`waiting`}),this.#i()},t);this.#t.set(e,()=>clearTimeout(i))}},H=0,U=new Map;function W(e){let t=U.get(e);return t||U.set(e,t=new V(e)),t}var G=new Set,K=e=>e.preventDefault();function q(e,t){t?G.add(e):G.delete(e),G.size>0?addEventListener(`beforeunload`,K):removeEventListener(`beforeunload`,K)}function J({items:e,files:t}){let n=[...e].flatMap(e=>{let t=e.kind===`file`?e.getAsFile():null;return t?[{file:t,isFolder:e.webkitGetAsEntry()?.isDirectory??!1}]:[]});return n.length>0?n:[...t].map(e=>({file:e,isFolder:!1}))}async function Y(e,t,n,r){let i=r===void 0?void 0:f(e)?.nodes.get(r),a=i?.nodeType===`DataSourceNode`&&!i.datasourceExecution?[{node:i.id}]:[],o=P(a.length>0&&i?{x:i.position.x+100,y:i.position.y+142}:n,t.length-a.length);await X(e,t,[...a,...o.map(e=>({place:e}))])}async function re(e,t,n){await X(e,[{file:n,isFolder:!1}],[{replaces:t}])}async function X(e,t,n){if(t.length===0)return;let r=t.length>100?`That are ${t.length} files. At most 100 can be added at once: take fewer.`:await ae(e);if(r)return l(e,r);let i=W(e.project.id);i.dismissDone(),t.forEach(({file:e,isFolder:t},r)=>i.add(e,n[r],t))}var ie=1500;async function ae(e){if(!u(e))return`This plan is of the past. Go back to now to add files.`;try{let t=r.request(m,{projectId:e.project.id}),n=new Promise(e=>{setTimeout(e,ie,null)});if((await Promise.race([t,n]))?.project?.role===`viewer`)return`You may look at this project, and not change it. Its owners can make you an editor.`}catch{}return null}function oe(e,t){let n=document.createElement(`input`);n.type=`file`,n.accept=`.csv,.tsv,.json`,n.multiple=t,n.hidden=!0;let r=()=>n.remove();n.addEventListener(`change`,()=>{r(),e([...n.files??[]])}),n.addEventListener(`cancel`,r),document.body.append(n),n.click()}var se={progress:new Map,stale:new Map};function Z({graphExecution:e}){return e?.executionState===`pending`||e?.executionState===`processing`}function ce(e,t){let{datasourceExecution:n,graphExecution:r}=e;if(n)return n.executionState===`error`?Q(n.errorMessage):n.executionState===`completed`?{kind:`done`,sign:`✓`,words:`Read ${n.filename}`}:{kind:`waiting`,sign:`…`,words:`Being read`};if(r)switch(r.executionState){case`pending`:case`processing`:return ue(r.executionState,t.progress.get(e.id));case`error`:return Q(r.errorMessage);case`completed`:{let n=t.stale.get(e.id);return n?.of===r?{kind:`stale`,sign:`△`,words:[`Out of date`,...n.because.length>0?[n.because.join(`, `)]:[]].join(`: `)}:{kind:`done`,sign:`✓`,words:le(r)}}default:return}}function le({nodeCount:e,edgeCount:t}){return`${o(e,`node`,`nodes`)}, ${o(t,`edge`,`edges`)}`}function Q(e){return{kind:`failed`,sign:`✕`,words:e?`Failed: ${e}`:`Failed`}}function ue(e,t){let n=t&&t.attempt>1?[`attempt ${t.attempt}`]:[];if(e===`pending`&&t?.state!==`processing`)return{kind:`waiting`,sign:`…`,words:[`Waiting`,...n].join(`, `)};let{phase:r,done:i,total:a,replica:o}=t??{},s=typeof i==`number`&&(i>0||typeof a==`number`)?[` ${i.toLocaleString(`en`)}${typeof a==`number`?` of ${a.toLocaleString(`en`)}`:``}`]:[];return{kind:`building`,sign:`▸`,words:[`Building${(r?[`: ${r}`,...s]:[]).join(``)}`,...n,...o?[`on replica ${o.slice(0,8)}`]:[]].join(`, `)}}function de(e,t,n){let r=new Map,i=!0;for(let a of e.nodes.values()){let e=n.get(a.id),o=ce(a,t);o&&e&&o.kind===e.kind&&o.words===e.words&&(o=e),o&&r.set(a.id,o),i&&=o===e}return i&&r.size===n.size?n:r}function fe(e,t){let n=(e,t)=>t!==void 0&&e.nodeType===t.nodeType&&e.config===t.config&&e.graphExecution===t.graphExecution&&e.datasourceExecution===t.datasourceExecution;return e.nodes.size===t.nodes.size&&e.edges.size===t.edges.size&&[...t.nodes.values()].every(t=>n(t,e.nodes.get(t.id)))&&[...t.edges.values()].every(t=>e.edges.get(t.id)===t)}var pe=3;function $(e,t,n){let r=[...t].flatMap(([t,{kind:r}])=>{let i=e.nodes.get(t),a=n.get(t);return!i?.graphExecution||r!==`waiting`&&r!==`building`||a?.kind===`waiting`||a?.kind===`building`?[]:[{label:i.metadata.label||t,now:a}]}),i=({now:e})=>e?.kind===`failed`;if(r.length>pe){let e=r.filter(i).length;return`${o(r.length-e,`build has`,`builds have`)} ended${e>0?`, and ${e} failed`:``}`}return r.map(e=>i(e)?`${e.label}: ${e.now.words}`:e.now?.kind===`done`?`${e.label} is built: ${e.now.words}`:`The build of ${e.label} has ended`).join(`. `)}function me(e,t){let n;if(t===null)n=new Set(e.nodes.keys());else{n=new Set([t]);for(let t of n)for(let{source:r,target:i}of e.edges.values())i===t&&n.add(r)}return[...e.nodes.values()].filter(({id:e,nodeType:t,datasourceExecution:r})=>n.has(e)&&t===`DataSourceNode`&&!r)}function he(e){let{nodes:t,edges:n}=c(e),r=t.length===1&&n.length===0?f(e)?.nodes.get(t[0]):void 0;return r&&r.nodeType!==`DataSourceNode`&&u(e)?r.id:null}function ge(e,t){return[...f(e)?.nodes.values()??[]].some(e=>(t===null||e.id===t)&&Z(e))}async function _e(t,i){let o=f(t);if(!o)return;let c=me(o,i),u=[...o.nodes.values()].filter(({nodeType:e})=>e===`DataSourceNode`);if(c.length>0&&(i!==null||c.length===u.length)){let e=n.format(c.map(({id:e,metadata:t})=>`“${t.label||e}”`));return l(t,`${e} ${c.length===1?`has no file: drop a CSV, TSV or JSON file on it`:`have no file: drop a CSV, TSV or JSON file on each`}, or select it and choose one.`)}let{id:p}=t.project,h={opId:e(),clientId:r.clientId};try{t.project.plan.snapshot().waiting>0&&d(t,`The run waits until your edits are sent`),await ye(t);let{message:e}=await s(async()=>{if(i!==null)return(await r.request(ee,{projectId:p,nodeId:i,...h})).executeNode;let{project:e}=await r.request(m,{projectId:p});return(await r.request(te,{id:e.plan.id,...h})).executePlan});d(t,e)}catch(e){l(t,`Not built: ${a(e)}`)}}async function ve(t,n){let i={projectId:t.project.id,nodeId:n,opId:e(),clientId:r.clientId};try{let{cancelExecution:e}=await s(()=>r.request(b,i));d(t,e?`Cancelled. What was built before is still there`:`There was nothing to cancel`)}catch(e){l(t,`Not cancelled: ${a(e)}`)}}function ye({project:{plan:e}}){return new Promise((t,n)=>{let r=()=>{let{waiting:r,status:o}=e.snapshot();r>0&&o.state!==`ended`||(a(),o.state===`ended`?n(new i(o.failure.code,o.failure.message)):t())},a=e.subscribe(r);r()})}export{y as C,h as D,g as E,_ as S,v as T,T as _,$ as a,M as b,se as c,oe as d,J as f,E as g,k as h,he as i,de as l,W as m,ge as n,Z as o,re as p,_e as r,fe as s,ve as t,Y as u,S as v,x as w,A as x,F as y};