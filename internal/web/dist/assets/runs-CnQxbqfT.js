import{A as e,a as t,f as n,g as r,k as i,p as a,u as o}from"./list-B2mwuy8a.js";import{C as s,J as c,K as l,U as u,Z as d,et as f,q as p}from"./canvas-C0xZZarZ.js";var m=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}},h=new m(`
    query ProjectAccess($projectId: Int!) {
  project(id: $projectId) {
    role
    plan {
      id
    }
  }
}
    `),g=new m(`
    query Staleness($projectId: Int!) {
  graphs(projectId: $projectId) {
    nodeId
    stale
    staleBecause
  }
}
    `),_=new m(`
    query Source($id: Int!) {
  dataSource(id: $id) {
    id
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
    `),v=new m(`
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
    `),ee=new m(`
    mutation Reprocess($id: Int!, $opId: String!, $clientId: String!) {
  reprocessDataSource(id: $id, opId: $opId, clientId: $clientId) {
    id
  }
}
    `),te=new m(`
    mutation DeleteSource($id: Int!, $opId: String!, $clientId: String!) {
  deleteDataSource(id: $id, opId: $opId, clientId: $clientId)
}
    `),ne=new m(`
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
    `),re=new m(`
    mutation ExecutePlan($id: Int!, $opId: String!, $clientId: String!) {
  executePlan(id: $id, opId: $opId, clientId: $clientId) {
    message
  }
}
    `),y=new m(`
    mutation Cancel($projectId: Int!, $nodeId: String, $opId: String!, $clientId: String!) {
  cancelExecution(
    projectId: $projectId
    nodeId: $nodeId
    opId: $opId
    clientId: $clientId
  )
}
    `),b=new m(`
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
    `),x=[`nodes`,`edges`,`layers`,`graph`],S=2,C=256<<20,w=({state:{at:e}})=>e===`sending`||e===`sent`,T=e=>w(e)||e.state.at===`waiting`||e.state.at===`busy`;function ie(e){let t=S-e.filter(w).length;return e.filter(({state:e})=>e.at===`waiting`).slice(0,Math.max(0,t))}function ae({name:e,size:t,isFolder:n}){if(n)return`This is a folder. Drop the files that are in it.`;let r=/\.[^.]*$/.exec(e)?.[0]??``;return/^\.(csv|tsv|json)$/i.test(r)?t===0?`This file is empty: it has 0 bytes. Take one with a header and rows.`:null:`${r?`A file that ends in ${r}`:`A file without an ending`} cannot be read. Take a .csv, a .tsv or a .json file.`}var E=[`bytes`,`kB`,`MB`,`GB`];function D(e){let t=Math.min(E.length-1,Math.max(0,Math.floor(Math.log2(Math.max(e,1))/10)));return`${t===0?e:(e/1024**t).toFixed(1)} ${E[t]}`}function oe({file:{size:e},target:t,state:n}){switch(n.at){case`waiting`:return`Waits, ${D(e)}`;case`busy`:return`${n.why}. It is tried again by itself.`;case`sending`:return`${D(n.sent)} of ${D(e)} sent`;case`sent`:return`All ${D(e)} sent, the server is reading the rest`;case`done`:return[`${`replaces`in t?`Replaced,`:`Added as`} ${n.dataType}, ${o(n.rows,`row`,`rows`)}`,...n.problems>0?[`${o(n.problems,`warning`,`warnings`)}, listed in the inspector`]:[]].join(`, `);case`refused`:case`lost`:case`stopped`:return n.why}}function O(e,t){return`The connection broke at ${e>0?Math.min(99,Math.floor(t/e*100)):0} %, ${D(Math.min(t,e))} of ${D(e)}. Try again: it is added once, however often you try.`+(e>=C?` A server takes ${D(C)} at once, unless its operator says otherwise.`:``)}function k(e){let t=[[e.filter(w).length,`being sent`],[e.filter(({state:{at:e}})=>e===`waiting`||e===`busy`).length,`waiting`],[e.filter(({state:{at:e}})=>e===`done`).length,`added`],[e.filter(({state:{at:e}})=>e===`refused`||e===`lost`||e===`stopped`).length,`not added`]];return`${o(e.length,`file`,`files`)}: ${t.filter(([e])=>e>0).map(([e,t])=>`${e} ${t}`).join(`, `)}`}var A=5;function j({x:e,y:t},n){return Array.from({length:n},(n,r)=>({x:Math.round(e-100+Math.floor(r/A)*260),y:Math.round(t-32+r%A*110)}))}function M(e,t){let n;try{n=JSON.parse(e)?.error}catch{return null}if(typeof n?.message!=`string`)return null;let r=Array.isArray(n.problems)?n.problems.map(String):typeof n.detail==`string`?[n.detail]:[],i=typeof n.total==`number`?n.total-r.length:0,a=n.code===`UNAVAILABLE`||n.code===`RATE_LIMITED`;return{why:n.message,problems:i>0?[...r,`and ${i.toLocaleString(`en`)} more`]:r,retryAfterMs:a?(Number(t)||1)*1e3:null}}var N=6e4;function P(e,{file:t,target:n,kind:i,opId:a},o,s){let c=new XMLHttpRequest,l=`replaces`in n?`data-sources/${n.replaces}/file`:`projects/${e}/data-sources`,u=new URLSearchParams({op_id:a,client_id:r.clientId,keep_bad:`false`});c.open(`POST`,`/api/${l}?${u}`),r.name&&c.setRequestHeader(`x-layercake-name`,encodeURIComponent(r.name.toWellFormed()));let d=0,f=!1,p,m=e=>{f||(f=!0,clearTimeout(p),s(e))},h=()=>{c.abort(),m({at:`lost`,why:O(t.size,d)})},g=()=>{clearTimeout(p),p=setTimeout(h,N)};return c.upload.addEventListener(`progress`,({loaded:e})=>{g(),d=Math.min(e,t.size),f||o({at:`sending`,sent:d})}),c.upload.addEventListener(`load`,()=>{d=t.size,f||o({at:`sent`})}),c.addEventListener(`load`,()=>m(I(c)??{at:`lost`,why:O(t.size,d)})),c.addEventListener(`error`,h),g(),c.send(F(t,n,i)),()=>{f=!0,clearTimeout(p),c.abort()}}function F(e,t,n){let r=new FormData;return`place`in t&&(r.set(`x`,String(t.place.x)),r.set(`y`,String(t.place.y))),`node`in t&&r.set(`node`,t.node),n&&r.set(`data_type`,n),r.set(`file`,e),r}function I(e){let{status:t,responseText:n}=e;if(t>=200&&t<300)try{let{dataSources:[e],nodeIds:t}=JSON.parse(n);return{at:`done`,rows:e.rowCount,dataType:e.dataType,problems:e.problemCount,nodeIds:t??[]}}catch{return null}let r=M(n,e.getResponseHeader(`retry-after`));if(!r)return null;let{why:i,problems:a,retryAfterMs:o}=r;return o===null?{at:`refused`,why:i,problems:a}:{again:o,why:i}}var L=60,R=class{store=t([]);#e;#t=new Map;#n=new Map;constructor(e){this.#e=e}add(t,n,r=!1){let i=ae({name:t.name,size:t.size,isFolder:r}),a=i===null?{at:`waiting`}:{at:`refused`,why:i,problems:[]};this.store.set([...this.store.get(),{id:++z,file:t,target:n,kind:null,opId:e(),state:a}]),this.#i()}stop(e){for(let{id:t,state:n}of e){this.#t.get(t)?.(),this.#t.delete(t);let e=n.at===`sent`?`Stopped after all was sent, so it may be added all the same.`:`Stopped. Nothing was added.`;this.#r(t,{at:`stopped`,why:e})}this.#i()}again(t,n=t.kind){let r=n!==t.kind||t.state.at===`refused`;this.#n.delete(t.id),this.store.set(this.store.get().map(i=>i.id===t.id?{...i,kind:n,opId:r?e():i.opId,state:{at:`waiting`}}:i)),this.#i()}dismissDone(){this.dismiss(this.store.get().filter(({state:e})=>e.at===`done`).map(({id:e})=>e))}dismiss(e){this.store.set(this.store.get().filter(t=>T(t)||!e.includes(t.id))),this.#i()}#r(e,t){this.store.set(this.store.get().map(n=>n.id===e?{...n,state:t}:n))}#i(){for(let e of ie(this.store.get())){let{id:t}=e;this.#r(t,{at:`sending`,sent:0}),this.#t.set(t,P(this.#e,e,e=>this.#r(t,e),e=>{this.#t.delete(t),`at`in e?this.#r(t,e):this.#a(t,e),this.#i()}))}W(this,this.store.get().some(T))}#a(e,{again:t,why:n}){let r=(this.#n.get(e)??0)+1;if(this.#n.set(e,r),r>L)return this.#r(e,{at:`lost`,why:`${n}. Try again later.`});this.#r(e,{at:`busy`,why:n});let i=setTimeout(()=>{this.#t.delete(e),this.#r(e,{at:`waiting`}),this.#i()},t);this.#t.set(e,()=>clearTimeout(i))}},z=0,B=new Map;function V(e){let t=B.get(e);return t||B.set(e,t=new R(e)),t}var H=new Set,U=e=>e.preventDefault();function W(e,t){t?H.add(e):H.delete(e),H.size>0?addEventListener(`beforeunload`,U):removeEventListener(`beforeunload`,U)}function G({items:e,files:t}){let n=[...e].flatMap(e=>{let t=e.kind===`file`?e.getAsFile():null;return t?[{file:t,isFolder:e.webkitGetAsEntry()?.isDirectory??!1}]:[]});return n.length>0?n:[...t].map(e=>({file:e,isFolder:!1}))}async function K(e,t,n,r){let i=r===void 0?void 0:u(e)?.nodes.get(r),a=i?.nodeType===`DataSourceNode`&&!i.datasourceExecution?[{node:i.id}]:[],o=j(a.length>0&&i?{x:i.position.x+100,y:i.position.y+142}:n,t.length-a.length);await Y(e,t,[...a,...o.map(e=>({place:e}))])}function q(e,{id:t,datasourceExecution:n}){if(J(e))return;let r=n?{replaces:n.dataSourceId}:{node:t};X(([t])=>{t&&Y(e,[{file:t,isFolder:!1}],[r])},!1)}function J(e){return!f(e)&&(p(e,`This plan is of the past. Go back to now to add files, and to run it.`),!0)}async function Y(e,t,n){if(t.length===0||J(e))return;let r=t.length>100?`That are ${t.length} files. At most 100 can be added at once: take fewer.`:await ce(e);if(r)return p(e,r);c(e,{message:null});let i=V(e.project.id);i.dismissDone(),t.forEach(({file:e,isFolder:t},r)=>i.add(e,n[r],t))}var se=1500;async function ce(e){try{let t=r.request(h,{projectId:e.project.id}),n=new Promise(e=>{setTimeout(e,se,null)});if((await Promise.race([t,n]))?.project?.role===`viewer`)return`You may look at this project, and not change it. Its owners can make you an editor.`}catch{}return null}function X(e,t){let n=document.createElement(`input`);n.type=`file`,n.accept=`.csv,.tsv,.json`,n.multiple=t,n.hidden=!0;let r=()=>n.remove();n.addEventListener(`change`,()=>{r(),e([...n.files??[]])}),n.addEventListener(`cancel`,r),document.body.append(n),n.click()}var le={progress:new Map,stale:new Map};function Z({graphExecution:e}){return e?.executionState===`pending`||e?.executionState===`processing`}function ue(e,t){let{datasourceExecution:n,graphExecution:r}=e;if(n)return n.executionState===`error`?Q(n.errorMessage):n.executionState===`completed`?{kind:`done`,sign:`✓`,words:`Read ${n.filename}`}:{kind:`waiting`,sign:`…`,words:`Being read`};if(r)switch(r.executionState){case`pending`:case`processing`:return fe(r.executionState,t.progress.get(e.id));case`error`:return Q(r.errorMessage);case`completed`:{let n=t.stale.get(e.id);return n?.of===r?{kind:`stale`,sign:`△`,words:[`Out of date`,...n.because.length>0?[n.because.join(`, `)]:[]].join(`: `)}:{kind:`done`,sign:`✓`,words:de(r)}}default:return}}function de({nodeCount:e,edgeCount:t}){return`${o(e,`node`,`nodes`)}, ${o(t,`edge`,`edges`)}`}function Q(e){return{kind:`failed`,sign:`✕`,words:e?`Failed: ${e}`:`Failed`}}function fe(e,t){let n=t&&t.attempt>1?[`attempt ${t.attempt}`]:[];if(e===`pending`&&t?.state!==`processing`)return{kind:`waiting`,sign:`…`,words:[`Waiting`,...n].join(`, `)};let{phase:r,done:i,total:a,replica:o}=t??{},s=typeof i==`number`&&(i>0||typeof a==`number`)?[` ${i.toLocaleString(`en`)}${typeof a==`number`?` of ${a.toLocaleString(`en`)}`:``}`]:[];return{kind:`building`,sign:`▸`,words:[`Building${(r?[`: ${r}`,...s]:[]).join(``)}`,...n,...o?[`on replica ${o.slice(0,8)}`]:[]].join(`, `)}}function pe(e,t,n){let r=new Map,i=!0;for(let a of e.nodes.values()){let e=n.get(a.id),o=ue(a,t);o&&e&&o.kind===e.kind&&o.words===e.words&&(o=e),o&&r.set(a.id,o),i&&=o===e}return i&&r.size===n.size?n:r}function $(e,t){let n=(e,t)=>t!==void 0&&e.nodeType===t.nodeType&&e.config===t.config&&e.graphExecution===t.graphExecution&&e.datasourceExecution===t.datasourceExecution;return e.nodes.size===t.nodes.size&&e.edges.size===t.edges.size&&[...t.nodes.values()].every(t=>n(t,e.nodes.get(t.id)))&&[...t.edges.values()].every(t=>e.edges.get(t.id)===t)}var me=3;function he(e,t,n){let r=[...t].flatMap(([t,{kind:r}])=>{let i=e.nodes.get(t),a=n.get(t);return!i?.graphExecution||r!==`waiting`&&r!==`building`||a?.kind===`waiting`||a?.kind===`building`?[]:[{label:i.metadata.label||t,now:a}]}),i=({now:e})=>e?.kind===`failed`;if(r.length>me){let e=r.filter(i).length;return`${o(r.length-e,`build has`,`builds have`)} ended${e>0?`, and ${e} failed`:``}`}return r.map(e=>i(e)?`${e.label}: ${e.now.words}`:e.now?.kind===`done`?`${e.label} is built: ${e.now.words}`:`The build of ${e.label} has ended`).join(`. `)}function ge(e,t){let n;if(t===null)n=new Set(e.nodes.keys());else{n=new Set([t]);for(let t of n)for(let{source:r,target:i}of e.edges.values())i===t&&n.add(r)}return[...e.nodes.values()].filter(({id:e,nodeType:t,datasourceExecution:r})=>n.has(e)&&t===`DataSourceNode`&&!r)}function _e(e){let{nodes:t,edges:n}=l(e),r=t.length===1&&n.length===0?u(e)?.nodes.get(t[0]):void 0;return r&&r.nodeType!==`DataSourceNode`&&f(e)?r.id:null}function ve(e,t){return[...u(e)?.nodes.values()??[]].some(e=>(t===null||e.id===t)&&Z(e))}async function ye(t,i){let o=u(t);if(!o||J(t))return;let l=ge(o,i),f=[...o.nodes.values()].filter(({nodeType:e})=>e===`DataSourceNode`);if(l.length>0&&(i!==null||l.length===f.length)){let e=n.format(l.map(({id:e,metadata:t})=>`“${t.label||e}”`));return p(t,`${e} ${l.length===1?`has no file: drop a CSV, TSV or JSON file on it`:`have no file: drop a CSV, TSV or JSON file on each`}, or select it and choose one.`)}c(t,{message:null});let{id:m}=t.project,g={opId:e(),clientId:r.clientId};try{t.project.plan.snapshot().waiting>0&&d(t,`The run waits until your edits are sent`),await xe(t);let{message:e}=await s(async()=>{if(i!==null)return(await r.request(ne,{projectId:m,nodeId:i,...g})).executeNode;let{project:e}=await r.request(h,{projectId:m});return(await r.request(re,{id:e.plan.id,...g})).executePlan});d(t,e)}catch(e){p(t,`Not built: ${a(e)}`)}}async function be(t,n){let i={projectId:t.project.id,nodeId:n,opId:e(),clientId:r.clientId};try{let{cancelExecution:e}=await s(()=>r.request(y,i));d(t,e?`Cancelled. What was built before is still there`:`There was nothing to cancel`)}catch(e){p(t,`Not cancelled: ${a(e)}`)}}function xe({project:{plan:e}}){return new Promise((t,n)=>{let r=()=>{let{waiting:r,status:o}=e.snapshot();r>0&&o.state!==`ended`||(a(),o.state===`ended`?n(new i(o.failure.code,o.failure.message)):t())},a=e.subscribe(r);r()})}export{v as C,_ as D,ee as E,g as O,oe as S,b as T,T as _,he as a,M as b,le as c,q as d,X as f,D as g,V as h,_e as i,pe as l,J as m,ve as n,Z as o,G as p,ye as r,$ as s,be as t,K as u,w as v,te as w,k as x,x as y};