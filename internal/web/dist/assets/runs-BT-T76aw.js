import{A as e,_ as t,a as n,d as r,j as i,m as a,p as o}from"./list-CQjF1B0W.js";import{C as s,J as c,K as l,U as u,Z as d,et as f,q as p}from"./canvas-ClR-X_ju.js";var m=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}},h=new m(`
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
    `),ie=new m(`
    mutation Cancel($projectId: Int!, $nodeId: String, $opId: String!, $clientId: String!) {
  cancelExecution(
    projectId: $projectId
    nodeId: $nodeId
    opId: $opId
    clientId: $clientId
  )
}
    `),y=new m(`
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
    `),b=[`nodes`,`edges`,`layers`,`graph`],x=2,S=256<<20,C=({state:{at:e}})=>e===`sending`||e===`sent`,w=e=>C(e)||e.state.at===`waiting`||e.state.at===`busy`;function ae(e){let t=x-e.filter(C).length;return e.filter(({state:e})=>e.at===`waiting`).slice(0,Math.max(0,t))}function oe({name:e,size:t,isFolder:n}){if(n)return`This is a folder. Drop the files that are in it.`;let r=/\.[^.]*$/.exec(e)?.[0]??``;return/^\.(csv|tsv|json)$/i.test(r)?t===0?`This file is empty: it has 0 bytes. Take one with a header and rows.`:null:`${r?`A file that ends in ${r}`:`A file without an ending`} cannot be read. Take a .csv, a .tsv or a .json file.`}var T=[`bytes`,`kB`,`MB`,`GB`];function E(e){let t=Math.min(T.length-1,Math.max(0,Math.floor(Math.log2(Math.max(e,1))/10)));return`${t===0?e:(e/1024**t).toFixed(1)} ${T[t]}`}function se({file:{size:e},target:t,state:n}){switch(n.at){case`waiting`:return`Waits, ${E(e)}`;case`busy`:return`${n.why}. It is tried again by itself.`;case`sending`:return`${E(n.sent)} of ${E(e)} sent`;case`sent`:return`All ${E(e)} sent, the server is reading the rest`;case`done`:return[`${`replaces`in t?`Replaced,`:`Added as`} ${n.dataType}, ${r(n.rows,`row`,`rows`)}`,...n.problems>0?[`${r(n.problems,`warning`,`warnings`)}, listed in the inspector`]:[]].join(`, `);case`refused`:case`lost`:case`stopped`:return n.why}}function D(e,t){return`The connection broke at ${e>0?Math.min(99,Math.floor(t/e*100)):0} %, ${E(Math.min(t,e))} of ${E(e)}. Try again: it is added once, however often you try.`+(e>=S?` A server takes ${E(S)} at once, unless its operator says otherwise.`:``)}function ce(e){let t=[[e.filter(C).length,`being sent`],[e.filter(({state:{at:e}})=>e===`waiting`||e===`busy`).length,`waiting`],[e.filter(({state:{at:e}})=>e===`done`).length,`added`],[e.filter(({state:{at:e}})=>e===`refused`||e===`lost`||e===`stopped`).length,`not added`]];return`${r(e.length,`file`,`files`)}: ${t.filter(([e])=>e>0).map(([e,t])=>`${e} ${t}`).join(`, `)}`}var O=5;function le({x:e,y:t},n){return Array.from({length:n},(n,r)=>({x:Math.round(e-100+Math.floor(r/O)*260),y:Math.round(t-32+r%O*110)}))}function k(e,t){let n;try{n=JSON.parse(e)?.error}catch{return null}if(typeof n?.message!=`string`)return null;let r=Array.isArray(n.problems)?n.problems.map(String):typeof n.detail==`string`?[n.detail]:[],i=typeof n.total==`number`?n.total-r.length:0,a=n.code===`UNAVAILABLE`||n.code===`RATE_LIMITED`;return{why:n.message,problems:i>0?[...r,`and ${i.toLocaleString(`en`)} more`]:r,retryAfterMs:a?(Number(t)||1)*1e3:null}}var A=6e4;function j(e,{file:n,target:r,kind:i,opId:a},o,s){let c=new XMLHttpRequest,l=`replaces`in r?`data-sources/${r.replaces}/file`:`projects/${e}/data-sources`,u=new URLSearchParams({op_id:a,client_id:t.clientId,keep_bad:`false`});c.open(`POST`,`/api/${l}?${u}`),t.name&&c.setRequestHeader(`x-layercake-name`,encodeURIComponent(t.name.toWellFormed()));let d=0,f=!1,p,m=e=>{f||(f=!0,clearTimeout(p),s(e))},h=()=>{c.abort(),m({at:`lost`,why:D(n.size,d)})},g=()=>{clearTimeout(p),p=setTimeout(h,A)};return c.upload.addEventListener(`progress`,({loaded:e})=>{g(),d=Math.min(e,n.size),f||o({at:`sending`,sent:d})}),c.upload.addEventListener(`load`,()=>{d=n.size,f||o({at:`sent`})}),c.addEventListener(`load`,()=>m(N(c)??{at:`lost`,why:D(n.size,d)})),c.addEventListener(`error`,h),g(),c.send(M(n,r,i)),()=>{f=!0,clearTimeout(p),c.abort()}}function M(e,t,n){let r=new FormData;return`place`in t&&(r.set(`x`,String(t.place.x)),r.set(`y`,String(t.place.y))),`node`in t&&r.set(`node`,t.node),n&&r.set(`data_type`,n),r.set(`file`,e),r}function N(e){let{status:t,responseText:n}=e;if(t>=200&&t<300)try{let{dataSources:[e],nodeIds:t}=JSON.parse(n);return{at:`done`,rows:e.rowCount,dataType:e.dataType,problems:e.problemCount,nodeIds:t??[]}}catch{return null}let r=k(n,e.getResponseHeader(`retry-after`));if(!r)return null;let{why:i,problems:a,retryAfterMs:o}=r;return o===null?{at:`refused`,why:i,problems:a}:{again:o,why:i}}var P=60,F=class{store=n([]);#e;#t=new Map;#n=new Map;constructor(e){this.#e=e}add(e,t,{isFolder:n=!1,kind:r=null}={}){let a=oe({name:e.name,size:e.size,isFolder:n}),o=a===null?{at:`waiting`}:{at:`refused`,why:a,problems:[]};this.store.set([...this.store.get(),{id:++I,file:e,target:t,kind:r,opId:i(),state:o}]),this.#i()}stop(e){for(let{id:t,state:n}of e){this.#t.get(t)?.(),this.#t.delete(t);let e=n.at===`sent`?`Stopped after all was sent, so it may be added all the same.`:`Stopped. Nothing was added.`;this.#r(t,{at:`stopped`,why:e})}this.#i()}again(e,t=e.kind){let n=t!==e.kind||e.state.at===`refused`;this.#n.delete(e.id),this.store.set(this.store.get().map(r=>r.id===e.id?{...r,kind:t,opId:n?i():r.opId,state:{at:`waiting`}}:r)),this.#i()}dismissDone(){this.dismiss(this.store.get().filter(({state:e})=>e.at===`done`).map(({id:e})=>e))}dismiss(e){this.store.set(this.store.get().filter(t=>w(t)||!e.includes(t.id))),this.#i()}#r(e,t){this.store.set(this.store.get().map(n=>n.id===e?{...n,state:t}:n))}#i(){for(let e of ae(this.store.get())){let{id:t}=e;this.#r(t,{at:`sending`,sent:0}),this.#t.set(t,j(this.#e,e,e=>this.#r(t,e),e=>{this.#t.delete(t),`at`in e?this.#r(t,e):this.#a(t,e),this.#i()}))}V(this,this.store.get().some(w))}#a(e,{again:t,why:n}){let r=(this.#n.get(e)??0)+1;if(this.#n.set(e,r),r>P)return this.#r(e,{at:`lost`,why:`${n}. Try again later.`});this.#r(e,{at:`busy`,why:n});let i=setTimeout(()=>{this.#t.delete(e),this.#r(e,{at:`waiting`}),this.#i()},t);this.#t.set(e,()=>clearTimeout(i))}},I=0,L=new Map;function R(e){let t=L.get(e);return t||L.set(e,t=new F(e)),t}var z=new Set,B=e=>e.preventDefault();function V(e,t){t?z.add(e):z.delete(e),z.size>0?addEventListener(`beforeunload`,B):removeEventListener(`beforeunload`,B)}function H({items:e,files:t}){let n=[...e].flatMap(e=>{let t=e.kind===`file`?e.getAsFile():null;return t?[{file:t,isFolder:e.webkitGetAsEntry()?.isDirectory??!1}]:[]});return n.length>0?n:[...t].map(e=>({file:e,isFolder:!1}))}async function U(e,t,n,r){let i=r===void 0?void 0:u(e)?.nodes.get(r),a=i?.nodeType===`DataSourceNode`&&!i.datasourceExecution?[{node:i.id}]:[],o=le(a.length>0&&i?{x:i.position.x+100,y:i.position.y+142}:n,t.length-a.length);await K(e,t,[...a,...o.map(e=>({place:e}))])}function W(e,{id:t,datasourceExecution:n}){if(G(e))return;let r=n?{replaces:n.dataSourceId}:{node:t};q(([t])=>{t&&K(e,[{file:t,isFolder:!1}],[r])},!1)}function G(e){return!f(e)&&(p(e,`This plan is of the past. Go back to now to add files, and to run it.`),!0)}async function K(e,t,n){if(t.length===0||G(e))return;let r=t.length>100?`That are ${t.length} files. At most 100 can be added at once: take fewer.`:await de(e);if(r)return p(e,r);c(e,{message:null});let i=R(e.project.id);i.dismissDone(),t.forEach(({file:e,isFolder:t},r)=>i.add(e,n[r],{isFolder:t}))}var ue=1500;async function de(e){try{let n=t.request(h,{projectId:e.project.id}),r=new Promise(e=>{setTimeout(e,ue,null)});if((await Promise.race([n,r]))?.project?.role===`viewer`)return`You may look at this project, and not change it. Its owners can make you an editor.`}catch{}return null}function q(e,t){let n=document.createElement(`input`);n.type=`file`,n.accept=`.csv,.tsv,.json`,n.multiple=t,n.hidden=!0;let r=()=>n.remove();n.addEventListener(`change`,()=>{r(),e([...n.files??[]])}),n.addEventListener(`cancel`,r),document.body.append(n),n.click()}var fe=[{id:`datasourcenode_001`,label:`Services`,name:`services.csv`,kind:`nodes`,text:`id,label,layer,is_partition,belongs_to
shop,Web shop,shop,true,
store,Storefront,web,true,shop
orders,Orders,trade,true,shop
stock,Warehouse,stock,true,shop
pages,Pages,web,false,store
search,Search,web,false,store
basket,Basket,trade,false,orders
payments,Payments,trade,true,orders
cards,Cards,trade,false,payments
invoices,Invoices,trade,false,payments
shelves,Shelves,stock,false,stock
robots,Robots,stock,false,stock
`},{id:`datasourcenode_002`,label:`Calls`,name:`calls.csv`,kind:`edges`,text:`id,source,target,label,layer,weight
c1,pages,search,asks,web,5
c2,pages,basket,fills,web,3
c3,basket,cards,charges,trade,2
c4,basket,invoices,writes,trade,1
c5,basket,shelves,reserves,trade,2
c6,search,shelves,counts,stock,4
c7,shelves,robots,sends,stock,1
`},{id:`datasourcenode_003`,label:`Teams`,name:`teams.csv`,kind:`layers`,text:`layer,label,background,border,text
shop,Everybody,f5f5f4,78716c,1c1917
web,Web team,dbeafe,1d4ed8,1e3a8a
trade,Trade team,fef3c7,b45309,78350f
stock,Stock team,dcfce7,15803d,14532d
`}],J=`Give the sample its files`;function Y(e){return fe.flatMap(t=>{let n=u(e)?.nodes.get(t.id);return n?.nodeType===`DataSourceNode`&&n.metadata.label===t.label&&!n.datasourceExecution?[{file:t,node:n}]:[]})}function X(e){return f(e)&&Y(e).length>0}function pe(e){for(let{file:{name:t,kind:n,text:r},node:i}of Y(e))R(e.project.id).add(new File([r],t,{type:`text/csv`}),{node:i.id},{kind:n})}var me={progress:new Map,stale:new Map};function Z({graphExecution:e}){return e?.executionState===`pending`||e?.executionState===`processing`}function he(e,t){let{datasourceExecution:n,graphExecution:r}=e;if(n)return n.executionState===`error`?Q(n.errorMessage):n.executionState===`completed`?{kind:`done`,sign:`✓`,words:`Read ${n.filename}`}:{kind:`waiting`,sign:`…`,words:`Being read`};if(r)switch(r.executionState){case`pending`:case`processing`:return _e(r.executionState,t.progress.get(e.id));case`error`:return Q(r.errorMessage);case`completed`:{let n=t.stale.get(e.id);return n?.of===r?{kind:`stale`,sign:`△`,words:[`Out of date`,...n.because.length>0?[n.because.join(`, `)]:[]].join(`: `)}:{kind:`done`,sign:`✓`,words:ge(r)}}default:return}}function ge({nodeCount:e,edgeCount:t}){return`${r(e,`node`,`nodes`)}, ${r(t,`edge`,`edges`)}`}function Q(e){return{kind:`failed`,sign:`✕`,words:e?`Failed: ${e}`:`Failed`}}function _e(e,t){let n=t&&t.attempt>1?[`attempt ${t.attempt}`]:[];if(e===`pending`&&t?.state!==`processing`)return{kind:`waiting`,sign:`…`,words:[`Waiting`,...n].join(`, `)};let{phase:r,done:i,total:a,replica:o}=t??{},s=typeof i==`number`&&(i>0||typeof a==`number`)?[` ${i.toLocaleString(`en`)}${typeof a==`number`?` of ${a.toLocaleString(`en`)}`:``}`]:[];return{kind:`building`,sign:`▸`,words:[`Building${(r?[`: ${r}`,...s]:[]).join(``)}`,...n,...o?[`on replica ${o.slice(0,8)}`]:[]].join(`, `)}}function ve(e,t,n){let r=new Map,i=!0;for(let a of e.nodes.values()){let e=n.get(a.id),o=he(a,t);o&&e&&o.kind===e.kind&&o.words===e.words&&(o=e),o&&r.set(a.id,o),i&&=o===e}return i&&r.size===n.size?n:r}function ye(e,t){let n=(e,t)=>t!==void 0&&e.nodeType===t.nodeType&&e.config===t.config&&e.graphExecution===t.graphExecution&&e.datasourceExecution===t.datasourceExecution;return e.nodes.size===t.nodes.size&&e.edges.size===t.edges.size&&[...t.nodes.values()].every(t=>n(t,e.nodes.get(t.id)))&&[...t.edges.values()].every(t=>e.edges.get(t.id)===t)}var be=3;function $(e,t,n){let i=[...t.nodes.values()].flatMap(t=>{let r=e.nodes.get(t.id),[i,a]=[t.graphExecution,r?.graphExecution];return!r||!i||i===a||Z(t)?[]:Z(r)||i.computedDate!==(a?.computedDate??null)||i.executionState===`error`&&a?.executionState!==`error`?[{label:t.metadata.label||t.id,now:n.get(t.id)}]:[]}),a=({now:e})=>e?.kind===`failed`;if(i.length>be){let e=i.filter(a).length;return`${r(i.length-e,`build has`,`builds have`)} ended${e>0?`, and ${e} failed`:``}`}return i.map(e=>a(e)?`${e.label}: ${e.now.words}`:e.now?.kind===`done`?`${e.label} is built: ${e.now.words}`:`The build of ${e.label} has ended`).join(`. `)}function xe(e,t){let n;if(t===null)n=new Set(e.nodes.keys());else{n=new Set([t]);for(let t of n)for(let{source:r,target:i}of e.edges.values())i===t&&n.add(r)}return[...e.nodes.values()].filter(({id:e,nodeType:t,datasourceExecution:r})=>n.has(e)&&t===`DataSourceNode`&&!r)}function Se(e){let{nodes:t,edges:n}=l(e),r=t.length===1&&n.length===0?u(e)?.nodes.get(t[0]):void 0;return r&&r.nodeType!==`DataSourceNode`&&f(e)?r.id:null}function Ce(e,t){return[...u(e)?.nodes.values()??[]].some(e=>(t===null||e.id===t)&&Z(e))}async function we(e,n){let r=u(e);if(!r||G(e))return;let l=xe(r,n),f=[...r.nodes.values()].filter(({nodeType:e})=>e===`DataSourceNode`);if(l.length>0&&(n!==null||l.length===f.length)){let t=o.format(l.map(({id:e,metadata:t})=>`“${t.label||e}”`));return p(e,`${t} ${l.length===1?`has no file: drop a CSV, TSV or JSON file on it`:`have no file: drop a CSV, TSV or JSON file on each`}, or select it and choose one.${X(e)?` “${J}” is in the menu of the canvas, and behind Ctrl+K.`:``}`)}c(e,{message:null});let{id:m}=e.project,g={opId:i(),clientId:t.clientId};try{e.project.plan.snapshot().waiting>0&&d(e,`The run waits until your edits are sent`),await Ee(e);let{message:r}=await s(async()=>{if(n!==null)return(await t.request(ne,{projectId:m,nodeId:n,...g})).executeNode;let{project:e}=await t.request(h,{projectId:m});return(await t.request(re,{id:e.plan.id,...g})).executePlan});d(e,r)}catch(t){p(e,`Not built: ${a(t)}`)}}async function Te(e,n){let r={projectId:e.project.id,nodeId:n,opId:i(),clientId:t.clientId};try{let{cancelExecution:n}=await s(()=>t.request(ie,r));d(e,n?`Cancelled. What was built before is still there`:`There was nothing to cancel`)}catch(t){p(e,`Not cancelled: ${a(t)}`)}}function Ee({project:{plan:t}}){return new Promise((n,r)=>{let i=()=>{let{waiting:i,status:o}=t.snapshot();i>0&&o.state!==`ended`||(a(),o.state===`ended`?r(new e(o.failure.code,o.failure.message)):n())},a=t.subscribe(i);i()})}export{_ as A,k as C,te as D,v as E,y as O,b as S,se as T,G as _,$ as a,w as b,me as c,X as d,J as f,H as g,q as h,Se as i,g as j,ee as k,ve as l,W as m,Ce as n,Z as o,U as p,we as r,ye as s,Te as t,pe as u,R as v,ce as w,C as x,E as y};