import{D as e,a as t,l as n,m as r}from"./list-BFywSDak.js";import{H as i,R as a,Y as o}from"./canvas-UQdC5ELb.js";var s=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}},c=new s(`
    query ProjectAccess($projectId: Int!) {
  project(id: $projectId) {
    role
    plan {
      id
    }
  }
}
    `),l=new s(`
    query Staleness($projectId: Int!) {
  graphs(projectId: $projectId) {
    nodeId
    stale
    staleBecause
  }
}
    `),u=new s(`
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
    `),d=new s(`
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
    `),f=new s(`
    mutation Reprocess($id: Int!, $opId: String!, $clientId: String!) {
  reprocessDataSource(id: $id, opId: $opId, clientId: $clientId) {
    id
  }
}
    `),p=new s(`
    mutation DeleteSource($id: Int!, $opId: String!, $clientId: String!) {
  deleteDataSource(id: $id, opId: $opId, clientId: $clientId)
}
    `),m=new s(`
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
    `),h=new s(`
    mutation ExecutePlan($id: Int!, $opId: String!, $clientId: String!) {
  executePlan(id: $id, opId: $opId, clientId: $clientId) {
    message
  }
}
    `),g=new s(`
    mutation Cancel($projectId: Int!, $nodeId: String, $opId: String!, $clientId: String!) {
  cancelExecution(
    projectId: $projectId
    nodeId: $nodeId
    opId: $opId
    clientId: $clientId
  )
}
    `),_=new s(`
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
    `),v=[`nodes`,`edges`,`layers`,`graph`],y=2,b=256<<20,x=({state:{at:e}})=>e===`sending`||e===`sent`,S=e=>x(e)||e.state.at===`waiting`||e.state.at===`busy`;function C(e){let t=y-e.filter(x).length;return e.filter(({state:e})=>e.at===`waiting`).slice(0,Math.max(0,t))}function ee({name:e,size:t,isFolder:n}){if(n)return`This is a folder. Drop the files that are in it.`;let r=/\.[^.]*$/.exec(e)?.[0]??``;return/^\.(csv|tsv|json)$/i.test(r)?t===0?`This file is empty: it has 0 bytes. Take one with a header and rows.`:null:`${r?`A file that ends in ${r}`:`A file without an ending`} cannot be read. Take a .csv, a .tsv or a .json file.`}var w=[`bytes`,`kB`,`MB`,`GB`];function T(e){let t=Math.min(w.length-1,Math.max(0,Math.floor(Math.log2(Math.max(e,1))/10)));return`${t===0?e:(e/1024**t).toFixed(1)} ${w[t]}`}function E({file:{size:e},state:t}){switch(t.at){case`waiting`:return`Waits, ${T(e)}`;case`busy`:return`${t.why}. It is tried again by itself.`;case`sending`:return`${T(t.sent)} of ${T(e)} sent`;case`sent`:return`All ${T(e)} sent, the server is reading the rest`;case`done`:return[`Added as ${t.dataType}, ${n(t.rows,`row`,`rows`)}`,...t.problems>0?[`${n(t.problems,`warning`,`warnings`)}, listed in the inspector`]:[]].join(`, `);case`refused`:case`lost`:case`stopped`:return t.why}}function D(e,t){return`The connection broke at ${e>0?Math.min(99,Math.floor(t/e*100)):0} %, ${T(Math.min(t,e))} of ${T(e)}. Try again: it is added once, however often you try.`+(e>=b?` A server takes ${T(b)} at once, unless its operator says otherwise.`:``)}function O(e){let t=[[e.filter(x).length,`being sent`],[e.filter(({state:{at:e}})=>e===`waiting`||e===`busy`).length,`waiting`],[e.filter(({state:{at:e}})=>e===`done`).length,`added`],[e.filter(({state:{at:e}})=>e===`refused`||e===`lost`||e===`stopped`).length,`not added`]];return`${n(e.length,`file`,`files`)}: ${t.filter(([e])=>e>0).map(([e,t])=>`${e} ${t}`).join(`, `)}`}var k=5;function A({x:e,y:t},n){return Array.from({length:n},(n,r)=>({x:Math.round(e-100+Math.floor(r/k)*260),y:Math.round(t-32+r%k*110)}))}function j(e,t){let n;try{n=JSON.parse(e)?.error}catch{return null}if(typeof n?.message!=`string`)return null;let r=Array.isArray(n.problems)?n.problems.map(String):typeof n.detail==`string`?[n.detail]:[],i=typeof n.total==`number`?n.total-r.length:0,a=n.code===`UNAVAILABLE`||n.code===`RATE_LIMITED`;return{why:n.message,problems:i>0?[...r,`and ${i.toLocaleString(`en`)} more`]:r,retryAfterMs:a?(Number(t)||1)*1e3:null}}var M=6e4;function N(e,{file:t,target:n,kind:i,opId:a},o,s){let c=new XMLHttpRequest,l=`replaces`in n?`data-sources/${n.replaces}/file`:`projects/${e}/data-sources`,u=new URLSearchParams({op_id:a,client_id:r.clientId,keep_bad:`false`});c.open(`POST`,`/api/${l}?${u}`),r.name&&c.setRequestHeader(`x-layercake-name`,encodeURIComponent(r.name.toWellFormed()));let d=0,f=!1,p,m=e=>{f||(f=!0,clearTimeout(p),s(e))},h=()=>{c.abort(),m({at:`lost`,why:D(t.size,d)})},g=()=>{clearTimeout(p),p=setTimeout(h,M)};return c.upload.addEventListener(`progress`,({loaded:e})=>{g(),d=Math.min(e,t.size),f||o({at:`sending`,sent:d})}),c.upload.addEventListener(`load`,()=>{d=t.size,f||o({at:`sent`})}),c.addEventListener(`load`,()=>m(F(c)??{at:`lost`,why:D(t.size,d)})),c.addEventListener(`error`,h),g(),c.send(P(t,n,i)),()=>{f=!0,clearTimeout(p),c.abort()}}function P(e,t,n){let r=new FormData;return`place`in t&&(r.set(`x`,String(t.place.x)),r.set(`y`,String(t.place.y))),`node`in t&&r.set(`node`,t.node),n&&r.set(`data_type`,n),r.set(`file`,e),r}function F(e){let{status:t,responseText:n}=e;if(t>=200&&t<300)try{let{dataSources:[e],nodeIds:t}=JSON.parse(n);return{at:`done`,rows:e.rowCount,dataType:e.dataType,problems:e.problemCount,nodeIds:t??[]}}catch{return null}let r=j(n,e.getResponseHeader(`retry-after`));if(!r)return null;let{why:i,problems:a,retryAfterMs:o}=r;return o===null?{at:`refused`,why:i,problems:a}:{again:o,why:i}}var I=60,L=class{store=t([]);#e;#t=new Map;#n=new Map;constructor(e){this.#e=e}add(t,n,r=!1){let i=ee({name:t.name,size:t.size,isFolder:r}),a=i===null?{at:`waiting`}:{at:`refused`,why:i,problems:[]};this.store.set([...this.store.get(),{id:++R,file:t,target:n,kind:null,opId:e(),state:a}]),this.#i()}stop(e){for(let{id:t,state:n}of e){this.#t.get(t)?.(),this.#t.delete(t);let e=n.at===`sent`?`Stopped after all was sent, so it may be added all the same.`:`Stopped. Nothing was added.`;this.#r(t,{at:`stopped`,why:e})}this.#i()}again(t,n=t.kind){let r=n!==t.kind||t.state.at===`refused`;this.#n.delete(t.id),this.store.set(this.store.get().map(i=>i.id===t.id?{...i,kind:n,opId:r?e():i.opId,state:{at:`waiting`}}:i)),this.#i()}dismissDone(){this.dismiss(this.store.get().filter(({state:e})=>e.at===`done`).map(({id:e})=>e))}dismiss(e){this.store.set(this.store.get().filter(t=>S(t)||!e.includes(t.id))),this.#i()}#r(e,t){this.store.set(this.store.get().map(n=>n.id===e?{...n,state:t}:n))}#i(){for(let e of C(this.store.get())){let{id:t}=e;this.#r(t,{at:`sending`,sent:0}),this.#t.set(t,N(this.#e,e,e=>this.#r(t,e),e=>{this.#t.delete(t),`at`in e?this.#r(t,e):this.#a(t,e),this.#i()}))}U(this,this.store.get().some(S))}#a(e,{again:t,why:n}){let r=(this.#n.get(e)??0)+1;if(this.#n.set(e,r),r>I)return this.#r(e,{at:`lost`,why:`${n}. Try again later.`});this.#r(e,{at:`busy`,why:n});let i=setTimeout(()=>{this.#t.delete(e),this.#r(e,{at:`waiting`}),this.#i()},t);this.#t.set(e,()=>clearTimeout(i))}},R=0,z=new Map;function B(e){let t=z.get(e);return t||z.set(e,t=new L(e)),t}var V=new Set,H=e=>e.preventDefault();function U(e,t){t?V.add(e):V.delete(e),V.size>0?addEventListener(`beforeunload`,H):removeEventListener(`beforeunload`,H)}function W({items:e,files:t}){let n=[...e].flatMap(e=>{let t=e.kind===`file`?e.getAsFile():null;return t?[{file:t,isFolder:e.webkitGetAsEntry()?.isDirectory??!1}]:[]});return n.length>0?n:[...t].map(e=>({file:e,isFolder:!1}))}async function G(e,t,n,r){let i=r===void 0?void 0:a(e)?.nodes.get(r),o=i?.nodeType===`DataSourceNode`&&!i.datasourceExecution?[{node:i.id}]:[],s=A(o.length>0&&i?{x:i.position.x+100,y:i.position.y+142}:n,t.length-o.length);await q(e,t,[...o,...s.map(e=>({place:e}))])}async function K(e,t,n){await q(e,[{file:n,isFolder:!1}],[{replaces:t}])}async function q(e,t,n){if(t.length===0)return;let r=t.length>100?`That are ${t.length} files. At most 100 can be added at once: take fewer.`:await Y(e);if(r)return i(e,r);let a=B(e.project.id);a.dismissDone(),t.forEach(({file:e,isFolder:t},r)=>a.add(e,n[r],t))}var J=1500;async function Y(e){if(!o(e))return`This plan is of the past. Go back to now to add files.`;try{let t=r.request(c,{projectId:e.project.id}),n=new Promise(e=>{setTimeout(e,J,null)});if((await Promise.race([t,n]))?.project?.role===`viewer`)return`You may look at this project, and not change it. Its owners can make you an editor.`}catch{}return null}function X(e,t){let n=document.createElement(`input`);n.type=`file`,n.accept=`.csv,.tsv,.json`,n.multiple=t,n.addEventListener(`change`,()=>e([...n.files??[]])),n.click()}var Z={progress:new Map,stale:new Map};function Q({graphExecution:e}){return e?.executionState===`pending`||e?.executionState===`processing`}function te(e,t){let{datasourceExecution:n,graphExecution:r}=e;if(n)return n.executionState===`error`?$(n.errorMessage):n.executionState===`completed`?{kind:`done`,sign:`✓`,words:`Read ${n.filename}`}:{kind:`waiting`,sign:`…`,words:`Being read`};if(r)switch(r.executionState){case`pending`:case`processing`:return re(r.executionState,t.progress.get(e.id));case`error`:return $(r.errorMessage);case`completed`:{let n=t.stale.get(e.id);return n?.of===r?{kind:`stale`,sign:`△`,words:[`Out of date`,...n.because.length>0?[n.because.join(`, `)]:[]].join(`: `)}:{kind:`done`,sign:`✓`,words:ne(r)}}default:return}}function ne({nodeCount:e,edgeCount:t}){return`${n(e,`node`,`nodes`)}, ${n(t,`edge`,`edges`)}`}function $(e){return{kind:`failed`,sign:`✕`,words:e?`Failed: ${e}`:`Failed`}}function re(e,t){let n=t&&t.attempt>1?[`attempt ${t.attempt}`]:[];if(e===`pending`&&t?.state!==`processing`)return{kind:`waiting`,sign:`…`,words:[`Waiting`,...n].join(`, `)};let{phase:r,done:i,total:a,replica:o}=t??{},s=typeof i==`number`&&(i>0||typeof a==`number`)?[` ${i.toLocaleString(`en`)}${typeof a==`number`?` of ${a.toLocaleString(`en`)}`:``}`]:[];return{kind:`building`,sign:`▸`,words:[`Building${(r?[`: ${r}`,...s]:[]).join(``)}`,...n,...o?[`on replica ${o.slice(0,8)}`]:[]].join(`, `)}}function ie(e,t,n){let r=new Map,i=!0;for(let a of e.nodes.values()){let e=n.get(a.id),o=te(a,t);o&&e&&o.kind===e.kind&&o.words===e.words&&(o=e),o&&r.set(a.id,o),i&&=o===e}return i&&r.size===n.size?n:r}function ae(e,t){let n=(e,t)=>t!==void 0&&e.nodeType===t.nodeType&&e.config===t.config&&e.graphExecution===t.graphExecution&&e.datasourceExecution===t.datasourceExecution;return e.nodes.size===t.nodes.size&&e.edges.size===t.edges.size&&[...t.nodes.values()].every(t=>n(t,e.nodes.get(t.id)))&&[...t.edges.values()].every(t=>e.edges.get(t.id)===t)}var oe=3;function se(e,t,r){let i=[...t].flatMap(([t,{kind:n}])=>{let i=e.nodes.get(t),a=r.get(t);return!i?.graphExecution||n!==`waiting`&&n!==`building`||a?.kind===`waiting`||a?.kind===`building`?[]:[{label:i.metadata.label||t,now:a}]}),a=({now:e})=>e?.kind===`failed`;if(i.length>oe){let e=i.filter(a).length;return`${n(i.length-e,`build has`,`builds have`)} ended${e>0?`, and ${e} failed`:``}`}return i.map(e=>a(e)?`${e.label}: ${e.now.words}`:e.now?.kind===`done`?`${e.label} is built: ${e.now.words}`:`The build of ${e.label} has ended`).join(`. `)}function ce(e,t){let n;if(t===null)n=new Set(e.nodes.keys());else{n=new Set([t]);for(let t of n)for(let{source:r,target:i}of e.edges.values())i===t&&n.add(r)}return[...e.nodes.values()].filter(({id:e,nodeType:t,datasourceExecution:r})=>n.has(e)&&t===`DataSourceNode`&&!r)}export{h as C,u as D,f as E,l as O,m as S,c as T,O as _,ce as a,g as b,X as c,B as d,T as f,j as g,v as h,Z as i,W as l,x as m,Q as n,ie as o,S as p,ae as r,G as s,se as t,K as u,E as v,_ as w,p as x,d as y};