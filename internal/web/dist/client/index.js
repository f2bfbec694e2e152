async function e(){try{return new i(await a())}catch{return t()}}function t(){let e=new Map;return{durable:!1,load:async t=>s([...e.values()].filter(e=>e.projectId===t)),write:async(t,n)=>{for(let t of n)e.delete(t);for(let n of t)e.set(n.opId,n)}}}var n=`changes`,r=`project`,i=class{durable=!0;db;missing=new Map;constructor(e){this.db=e,e.onversionchange=()=>e.close(),e.onclose=()=>{this.durable=!1}}async load(e){try{let t=this.db.transaction(n).objectStore(n).index(r).getAll(e);return this.withMissing(e,await o(t))}catch{return this.durable=!1,this.withMissing(e,[])}}withMissing(e,t){let n=[...this.missing.values()].filter(t=>t.projectId===e);return s([...t.filter(e=>!this.missing.has(e.opId)),...n])}async write(e,t){for(let e of t)this.missing.delete(e);for(let t of e)this.missing.set(t.opId,t);let r=[...this.missing.values()];try{let e=this.db.transaction(n,`readwrite`,{durability:`relaxed`}),i=e.objectStore(n);for(let e of t)i.delete(e);for(let e of r)i.put(e);await new Promise((t,n)=>{e.oncomplete=()=>t(),e.onabort=()=>n(e.error)});for(let e of r)this.missing.get(e.opId)===e&&this.missing.delete(e.opId);this.durable=this.missing.size===0}catch{this.durable=!1}}};function a(){let e=indexedDB.open(`layercake`,1);return e.onupgradeneeded=()=>{e.result.createObjectStore(n,{keyPath:`opId`}).createIndex(r,`projectId`)},o(e)}function o(e){return new Promise((t,n)=>{e.onsuccess=()=>t(e.result),e.onerror=()=>n(e.error)})}function s(e){return e.toSorted((e,t)=>e.seq-t.seq)}function c(e,t){let{nodes:n,edges:r}=e;if(`addNode`in t)n.has(t.addNode.id)||n.set(t.addNode.id,t.addNode);else if(`updateNode`in t){let e=n.get(t.updateNode.id);e&&n.set(e.id,{...e,...t.updateNode.updates})}else if(`moveNodes`in t)for(let{nodeId:e,position:r}of t.moveNodes){let t=n.get(e);t&&n.set(e,{...t,position:r})}else if(`deleteNode`in t){n.delete(t.deleteNode);for(let e of r.values())(e.source===t.deleteNode||e.target===t.deleteNode)&&r.delete(e.id)}else if(`addEdge`in t){let{id:e,source:i,target:a}=t.addEdge;!r.has(e)&&n.has(i)&&n.has(a)&&r.set(e,t.addEdge)}else if(`updateEdge`in t){let e=r.get(t.updateEdge.id);e&&r.set(e.id,{...e,...t.updateEdge.updates})}else r.delete(t.deleteEdge)}function l(e,{kind:t,id:n,after:r}){switch(t){case`NODE_ADDED`:case`NODE_UPDATED`:e.nodes.set(n,r);break;case`NODE_REMOVED`:e.nodes.delete(n);break;case`EDGE_ADDED`:case`EDGE_UPDATED`:e.edges.set(n,r);break;case`EDGE_REMOVED`:e.edges.delete(n)}}function u(e){let t=e=>`node ${e}`,n=e=>`edge ${e}`;return`addNode`in e?{writes:[t(e.addNode.id)],needs:[]}:`updateNode`in e?{writes:[t(e.updateNode.id)],needs:[]}:`moveNodes`in e?{writes:e.moveNodes.map(e=>t(e.nodeId)),needs:[]}:`deleteNode`in e?{writes:[t(e.deleteNode)],needs:[]}:`addEdge`in e?{writes:[n(e.addEdge.id)],needs:[t(e.addEdge.source),t(e.addEdge.target)]}:`updateEdge`in e?{writes:[n(e.updateEdge.id)],needs:[]}:{writes:[n(e.deleteEdge)],needs:[]}}var d=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}};new d(`
    fragment Node on PlanDagNode {
  id
  nodeType
  position {
    x
    y
  }
  metadata {
    label
    description
  }
  config
}
    `,{fragmentName:`Node`}),new d(`
    fragment Edge on PlanDagEdge {
  id
  source
  target
  sourceHandle
  targetHandle
  metadata {
    label
    dataType
  }
}
    `,{fragmentName:`Edge`}),new d(`
    fragment Graph on PlanDag {
  version
  cursor
  nodes {
    ...Node
  }
  edges {
    ...Edge
  }
}
    fragment Node on PlanDagNode {
  id
  nodeType
  position {
    x
    y
  }
  metadata {
    label
    description
  }
  config
}
fragment Edge on PlanDagEdge {
  id
  source
  target
  sourceHandle
  targetHandle
  metadata {
    label
    dataType
  }
}`,{fragmentName:`Graph`});var f=new d(`
    query Plan($projectId: Int!) {
  project(id: $projectId) {
    id
    name
  }
  getPlanDag(projectId: $projectId) {
    ...Graph
  }
}
    fragment Node on PlanDagNode {
  id
  nodeType
  position {
    x
    y
  }
  metadata {
    label
    description
  }
  config
}
fragment Edge on PlanDagEdge {
  id
  source
  target
  sourceHandle
  targetHandle
  metadata {
    label
    dataType
  }
}
fragment Graph on PlanDag {
  version
  cursor
  nodes {
    ...Node
  }
  edges {
    ...Edge
  }
}`),p=new d(`
    subscription PlanEvents($projectId: Int!, $after: String) {
  planEvents(projectId: $projectId, after: $after) {
    version
    cursor
    snapshot
    opId
    clientId
    actorId
    actorName
    actorKind
    via
    note
    timestamp
    plan {
      ...Graph
    }
    operations {
      kind
      id
      before
      after
    }
  }
}
    fragment Node on PlanDagNode {
  id
  nodeType
  position {
    x
    y
  }
  metadata {
    label
    description
  }
  config
}
fragment Edge on PlanDagEdge {
  id
  source
  target
  sourceHandle
  targetHandle
  metadata {
    label
    dataType
  }
}
fragment Graph on PlanDag {
  version
  cursor
  nodes {
    ...Node
  }
  edges {
    ...Edge
  }
}`);function ee(e,t){let n=new Set(m(t)?.map(e=>e.nodeId));return[...e.flatMap(e=>{let t=n.size&&!e.sent?m(e):void 0,r=t?.filter(e=>!n.has(e.nodeId));return!r||r.length===t?.length?[e]:r.length?[{...e,edits:[{moveNodes:r}]}]:[]}),{...t,sent:!1}]}function m({edits:e}){let[t,...n]=e;return t&&`moveNodes`in t&&n.length===0?t.moveNodes:void 0}function h(e,t=20){let n=[],r=new Set,i=new Set;for(let a of e){if(a.accepted!==void 0)continue;let e=a.edits.map(u),o=e.flatMap(e=>e.writes),s=e.flatMap(e=>e.needs),c=o.some(e=>r.has(e)||i.has(e))||s.some(e=>r.has(e));if(n.length===t||c)break;n.push(a);for(let e of o)r.add(e);for(let e of s)i.add(e)}return n}function g(e,t,n){let r=[],i=new Map,a;t.forEach((e,t)=>{let o=n[t];o&&(`failure`in o?o.failure.passes?a??=o.failure:a||r.push({change:e,failure:o.failure}):i.set(e.opId,o.version))});let o=new Set(r.map(({change:e})=>e.opId)),s=e.filter(e=>!o.has(e.opId)).map(e=>i.has(e.opId)?{...e,accepted:i.get(e.opId)}:e),c=new Set(e.map(e=>e.opId));return{queue:s,refused:r.filter(({change:e})=>c.has(e.opId)),wait:a}}var _=class e extends Error{code;path;detail;retryAfterMs;requestId;constructor(e,t,n={}){super(t),this.name=`Failure`,this.code=e,this.path=n.path,this.detail=n.extensions?.detail??n.extensions?.conflicts,this.retryAfterMs=n.extensions?.retryAfterMs,this.requestId=n.extensions?.requestId}get passes(){return this.code===`NETWORK`||this.code===`UNAVAILABLE`||this.code===`RATE_LIMITED`}static from(t){return new e(t.extensions?.code??`INTERNAL`,t.message,t)}},v=3e4;function y(e,t){return async(n,r)=>{let i;try{i=await fetch(e,{method:`POST`,headers:{...t(),"content-type":`application/json`,accept:`application/graphql-response+json, application/json`},body:JSON.stringify({query:n.toString(),variables:r}),signal:AbortSignal.timeout(v)})}catch{throw new _(`NETWORK`,`The server cannot be reached`)}try{let e=await i.json();if(b(e))return e}catch{}throw new _(`NETWORK`,`The server cannot be reached (status ${i.status})`)}}function b(e){return typeof e==`object`&&!!e&&(`data`in e||`errors`in e)}function x(e){let t=e.errors?.[0];if(t)throw _.from(t);if(!e.data)throw new _(`INTERNAL`,`The answer has no data`);return e.data}function S(e,t){return t??Math.min(250*2**e,5e3)*(.5+Math.random()/2)}function C(){return Array.from(crypto.getRandomValues(new Uint8Array(16)),e=>e.toString(16).padStart(2,`0`)).join(``)}function w(e,t){let n={projectId:e},r=[`$projectId: Int!`],i=t.map(({opId:e,clientId:t,edits:i},a)=>(Object.assign(n,{[`edits${a}`]:i,[`opId${a}`]:e,[`clientId${a}`]:t}),r.push(`$edits${a}: [PlanEdit!]!, $opId${a}: String, $clientId${a}: String`),`${T(a)}: editPlan(projectId: $projectId, edits: $edits${a}, opId: $opId${a}, clientId: $clientId${a}) { version }`));return{document:`mutation (${r.join(`, `)}) {\n  ${i.join(`
  `)}\n}`,variables:n}}var T=e=>`c${e}`;async function E(e,t,n){let{document:r,variables:i}=w(t,n),a=await e(r,i),o=new Map;for(let e of a.errors??[]){let t=e.path?.[0];if(t===void 0)throw D(e)?new _(`UNAVAILABLE`,e.message,e):_.from(e);o.set(String(t),_.from(e))}let s=n.map((e,t)=>{let n=o.get(T(t));return n?{failure:n}:a.data?.[T(t)]});if(s.every(e=>e===void 0))throw new _(`NETWORK`,`The answer is not one of the server`);return s}function D({message:e}){return/^(Unknown type|Unknown argument|Cannot query field) /.test(e)}var O=36e5,k=class{base={nodes:new Map,edges:new Map};version=-1;cursor=null;projectName=``;queue=[];refused=[];undecided=[];status;seq=0;shown=null;drawing=!1;sending=!1;stopped=!1;listeners=new Set;stopFollowing=()=>{};stopListening=()=>{};sleepers=new Set;written=Promise.resolve();around;constructor(e){this.around=e,this.status={state:`connecting`,since:e.now()}}subscribe=e=>(this.listeners.add(e),()=>this.listeners.delete(e));snapshot=()=>(this.shown??={plan:this.version<0?null:this.view(),projectName:this.projectName,status:this.status,waiting:j(this.queue).size,refused:this.refused,undecided:this.undecided,durable:this.around.journal.durable},this.shown);change(e){let{projectId:t,clientId:n}=this.around,r={opId:C(),projectId:t,clientId:n,at:this.around.now(),seq:++this.seq,edits:e};return this.replaceQueue(ee(this.queue,r)),this.status.state===`ended`&&this.refuseWaiting(this.status.failure),this.flush(),r.opId}send(e){let t=this.undecided.filter(t=>e.includes(t.opId));this.undecided=this.undecided.filter(t=>!e.includes(t.opId));let n=t.map(e=>({...e,clientId:this.around.clientId,at:this.around.now(),seq:++this.seq,sent:!0}));this.replaceQueue([...this.queue,...n]),this.flush()}discard(e){let t=t=>e.includes(t.opId);this.write([],this.undecided.filter(t).map(e=>e.opId)),this.undecided=this.undecided.filter(e=>!t(e)),this.refused=this.refused.filter(({change:e})=>!t(e)),this.changed()}async start(){this.stopListening=this.around.socket.listen(()=>{let{state:e}=this.around.socket.status;this.become(e),e===`live`&&this.wake()}),await this.restore(),await this.comeBack()}async comeBack(){this.stopped=!1,this.status={state:`connecting`,since:this.around.now()},this.changed(),await this.load()&&(this.around.socket.status.state===`live`&&this.become(`live`),this.follow()),this.flush()}stop(){this.stopListening(),this.halt()}halt(){this.stopped=!0,this.stopFollowing(),this.wake()}async restore(){let{journal:e,projectId:t,clientId:n}=this.around,[r,i]=await Promise.all([e.load(t),this.around.openWindows()]),a=r.filter(e=>e.clientId===n);this.undecided=[...a.filter(e=>this.isOld(e)),...r.filter(e=>e.clientId!==n&&i&&!i.has(e.clientId))],this.queue=[...a.filter(e=>!this.isOld(e)).map(e=>({...e,sent:!0})),...this.queue],this.seq=Math.max(this.seq,...r.map(e=>e.seq)),this.changed()}isOld(e){return Math.abs(this.around.now()-e.at)>O}async load(){for(let e=0;!this.stopped;e++)try{let{project:e,getPlanDag:t}=x(await this.around.post(f,{projectId:this.around.projectId}));if(!e||!t)throw new _(`NOT_FOUND`,`Project not found`);return this.projectName=e.name,this.replaceBase(t),!0}catch(t){let n=M(t);if(!n.passes)return this.end(n),!1;this.become(`reconnecting`),await this.sleep(S(e,n.retryAfterMs))}return!1}follow(e=0){let t=()=>({projectId:this.around.projectId,after:this.cursor}),n=!1;this.stopFollowing=this.around.socket.follow(p,t,({planEvents:e})=>{n=!0,this.take(e)},async t=>{if(!t.passes)return this.end(t);let r=n?0:e+1;await this.sleep(S(r,t.retryAfterMs)),this.stopped||this.follow(r)})}take(e){if(e.snapshot)e.plan&&this.replaceBase(e.plan);else if(!(e.version<=this.version)){for(let t of e.operations)l(this.base,t);this.version=e.version,this.cursor=e.cursor,this.replaceQueue(this.queue.filter(t=>t.opId!==e.opId))}}replaceBase(e){this.base.nodes=A(e.nodes),this.base.edges=A(e.edges),this.version=Number(e.version),this.cursor=e.cursor,this.replaceQueue([...j(this.queue).values()])}async flush(){if(!(this.sending||this.version<0)){this.sending=!0;try{let e=20,t=0;for(;!this.stopped;){await this.written,this.setOldAside();let n=h(this.queue,e);if(n.length===0)return;for(let e of n)e.sent=!0;let r;try{r=await E(this.around.post,this.around.projectId,n)}catch(t){let i=M(t);if(!i.passes&&n.length>1){e=1;continue}r=n.map(()=>({failure:i}))}let i=g(this.queue,n,r);this.refused=[...this.refused,...i.refused],i.refused.length>0&&(e=20),this.replaceQueue(i.queue),i.wait?await this.sleep(S(t++,i.wait.retryAfterMs)):t=0}}finally{this.sending=!1}}}setOldAside(){let e=this.queue.filter(e=>e.accepted===void 0&&this.isOld(e));e.length!==0&&(this.undecided=[...this.undecided,...e],this.queue=this.queue.filter(t=>!e.includes(t)),this.changed())}replaceQueue(e){let t=e.filter(({accepted:e})=>e===void 0||e>this.version),n=j(this.queue),r=j(t);this.queue=t,this.write([...r.values()].filter(e=>n.get(e.opId)!==e).map(te),[...n.keys()].filter(e=>!r.has(e))),this.changed()}write(e,t){if(e.length===0&&t.length===0)return;let{journal:n}=this.around,r=n.durable,i=n.write(e,t).then(()=>{n.durable!==r&&this.changed()});this.written=Promise.all([this.written,i]).then(()=>{})}view(){let e={version:this.version,nodes:new Map(this.base.nodes),edges:new Map(this.base.edges)};for(let t of this.queue)for(let n of t.edits)c(e,n);return e}become(e){this.status.state!==e&&this.status.state!==`ended`&&(this.status={state:e,since:this.around.now()},this.changed())}end(e){this.status={state:`ended`,since:this.around.now(),failure:e},this.halt(),this.refuseWaiting(e),this.changed()}refuseWaiting(e){e.code===`NOT_FOUND`&&(this.refused=[...this.refused,...[...j(this.queue).values()].map(t=>({change:t,failure:e}))],this.replaceQueue([]))}changed(){this.shown=null,this.drawing||(this.drawing=!0,this.around.beforeFrame(()=>{this.drawing=!1;for(let e of this.listeners)e()}))}sleep(e){return new Promise(t=>{let n=()=>{this.sleepers.delete(n),t()};this.sleepers.add(n),this.around.delay(e).then(n)})}wake(){for(let e of this.sleepers)e()}};function A(e){return new Map(e.map(e=>[e.id,e]))}function j(e){return new Map(e.filter(e=>e.accepted===void 0).map(e=>[e.opId,e]))}function te({opId:e,projectId:t,clientId:n,at:r,seq:i,edits:a}){return{opId:e,projectId:t,clientId:n,at:r,seq:i,edits:a}}function M(e){return e instanceof _?e:new _(`INTERNAL`,String(e))}function N(e){return e===null?`null`:Array.isArray(e)?`array`:typeof e}function P(e){return N(e)===`object`}function ne(e){return Array.isArray(e)&&e.length>0&&e.every(e=>`message`in e)}function F(e,t){return e.length<124?e:t}var I=(e=>(e[e.InternalServerError=4500]=`InternalServerError`,e[e.InternalClientError=4005]=`InternalClientError`,e[e.BadRequest=4400]=`BadRequest`,e[e.BadResponse=4004]=`BadResponse`,e[e.Unauthorized=4401]=`Unauthorized`,e[e.Forbidden=4403]=`Forbidden`,e[e.SubprotocolNotAcceptable=4406]=`SubprotocolNotAcceptable`,e[e.ConnectionInitialisationTimeout=4408]=`ConnectionInitialisationTimeout`,e[e.ConnectionAcknowledgementTimeout=4504]=`ConnectionAcknowledgementTimeout`,e[e.SubscriberAlreadyExists=4409]=`SubscriberAlreadyExists`,e[e.TooManyInitialisationRequests=4429]=`TooManyInitialisationRequests`,e))(I||{}),L=(e=>(e.ConnectionInit=`connection_init`,e.ConnectionAck=`connection_ack`,e.Ping=`ping`,e.Pong=`pong`,e.Subscribe=`subscribe`,e.Next=`next`,e.Error=`error`,e.Complete=`complete`,e))(L||{});function R(e){if(!P(e))throw Error(`Message is expected to be an object, but got ${N(e)}`);if(!e.type)throw Error(`Message is missing the 'type' property`);if(typeof e.type!=`string`)throw Error(`Message is expects the 'type' property to be a string, but got ${N(e.type)}`);switch(e.type){case`connection_init`:case`connection_ack`:case`ping`:case`pong`:if(e.payload!=null&&!P(e.payload))throw Error(`"${e.type}" message expects the 'payload' property to be an object or nullish or missing, but got "${e.payload}"`);break;case`subscribe`:if(typeof e.id!=`string`)throw Error(`"${e.type}" message expects the 'id' property to be a string, but got ${N(e.id)}`);if(!e.id)throw Error(`"${e.type}" message requires a non-empty 'id' property`);if(!P(e.payload))throw Error(`"${e.type}" message expects the 'payload' property to be an object, but got ${N(e.payload)}`);if(typeof e.payload.query!=`string`)throw Error(`"${e.type}" message payload expects the 'query' property to be a string, but got ${N(e.payload.query)}`);if(e.payload.variables!=null&&!P(e.payload.variables))throw Error(`"${e.type}" message payload expects the 'variables' property to be a an object or nullish or missing, but got ${N(e.payload.variables)}`);if(e.payload.operationName!=null&&N(e.payload.operationName)!==`string`)throw Error(`"${e.type}" message payload expects the 'operationName' property to be a string or nullish or missing, but got ${N(e.payload.operationName)}`);if(e.payload.extensions!=null&&!P(e.payload.extensions))throw Error(`"${e.type}" message payload expects the 'extensions' property to be a an object or nullish or missing, but got ${N(e.payload.extensions)}`);break;case`next`:if(typeof e.id!=`string`)throw Error(`"${e.type}" message expects the 'id' property to be a string, but got ${N(e.id)}`);if(!e.id)throw Error(`"${e.type}" message requires a non-empty 'id' property`);if(!P(e.payload))throw Error(`"${e.type}" message expects the 'payload' property to be an object, but got ${N(e.payload)}`);break;case`error`:if(typeof e.id!=`string`)throw Error(`"${e.type}" message expects the 'id' property to be a string, but got ${N(e.id)}`);if(!e.id)throw Error(`"${e.type}" message requires a non-empty 'id' property`);if(!ne(e.payload))throw Error(`"${e.type}" message expects the 'payload' property to be an array of GraphQL errors, but got ${JSON.stringify(e.payload)}`);break;case`complete`:if(typeof e.id!=`string`)throw Error(`"${e.type}" message expects the 'id' property to be a string, but got ${N(e.id)}`);if(!e.id)throw Error(`"${e.type}" message requires a non-empty 'id' property`);break;default:throw Error(`Invalid message 'type' property "${e.type}"`)}return e}function re(e,t){return R(typeof e==`string`?JSON.parse(e,t):e)}function z(e,t){return R(e),JSON.stringify(e,t)}function ie(e){let{url:t,connectionParams:n,lazy:r=!0,onNonLazyError:i=console.error,lazyCloseTimeout:a=0,keepAlive:o=0,disablePong:s,connectionAckWaitTimeout:c=0,retryAttempts:l=5,retryWait:u=async function(e){let t=2**e;await new Promise(e=>setTimeout(e,t*1e3+Math.floor(Math.random()*2700+300)))},shouldRetry:d=V,on:f,webSocketImpl:p,generateID:ee=function(){return`xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx`.replace(/[xy]/g,e=>{let t=Math.random()*16|0;return(e==`x`?t:t&3|8).toString(16)})},jsonMessageReplacer:m,jsonMessageReviver:h}=e,g;if(p){if(!oe(p))throw Error(`Invalid WebSocket implementation provided`);g=p}else typeof WebSocket<`u`?g=WebSocket:typeof global<`u`?g=global.WebSocket||global.MozWebSocket:typeof window<`u`&&(g=window.WebSocket||window.MozWebSocket);if(!g)throw Error("WebSocket implementation missing; on Node you can `import WebSocket from 'ws';` and pass `webSocketImpl: WebSocket` to `createClient`");let _=g,v=(()=>{let e=(()=>{let e={};return{on(t,n){return e[t]=n,()=>{delete e[t]}},emit(t){`id`in t&&e[t.id]?.(t)}}})(),t={connecting:f?.connecting?[f.connecting]:[],opened:f?.opened?[f.opened]:[],connected:f?.connected?[f.connected]:[],ping:f?.ping?[f.ping]:[],pong:f?.pong?[f.pong]:[],message:f?.message?[e.emit,f.message]:[e.emit],closed:f?.closed?[f.closed]:[],error:f?.error?[f.error]:[]};return{onMessage:e.on,on(e,n){let r=t[e];return r.push(n),()=>{let e=r.indexOf(n);e>-1&&r.splice(e,1)}},emit(e,...n){for(let r of[...t[e]])r(...n)}}})();function y(e){let t=[v.on(`error`,n=>{t.forEach(e=>e()),e(n)}),v.on(`closed`,n=>{t.forEach(e=>e()),e(n)})];return()=>t.forEach(e=>e())}let b,x=0,S,C=!1,w=0,T=!1;async function E(){clearTimeout(S);let[e,r]=await(b??=new Promise((e,r)=>(async()=>{if(C){if(await u(w),!x)return b=void 0,r({code:1e3,reason:`All Subscriptions Gone`});w++}v.emit(`connecting`,C);let i=new _(typeof t==`function`?await t():t,`graphql-transport-ws`),a,l;function d(){isFinite(o)&&o>0&&(clearTimeout(l),l=setTimeout(()=>{i.readyState===_.OPEN&&(i.send(z({type:L.Ping})),v.emit(`ping`,!1,void 0))},o))}y(e=>{b=void 0,clearTimeout(a),clearTimeout(l),r(e),e instanceof B&&(i.close(4499,`Terminated`),i.onerror=null,i.onclose=null)}),i.onerror=e=>v.emit(`error`,e),i.onclose=e=>v.emit(`closed`,e),i.onopen=async()=>{try{v.emit(`opened`,i);let e=typeof n==`function`?await n():n;if(i.readyState!==_.OPEN)return;i.send(z(e?{type:L.ConnectionInit,payload:e}:{type:L.ConnectionInit},m)),isFinite(c)&&c>0&&(a=setTimeout(()=>{i.close(I.ConnectionAcknowledgementTimeout,`Connection acknowledgement timeout`)},c)),d()}catch(e){v.emit(`error`,e),i.close(I.InternalClientError,F(e instanceof Error?e.message:String(e),`Internal client error`))}};let f=!1;i.onmessage=({data:t})=>{try{let n=re(t,h);if(v.emit(`message`,n),n.type===`ping`||n.type===`pong`){v.emit(n.type,!0,n.payload),n.type===`pong`?d():s||(i.send(z(n.payload?{type:L.Pong,payload:n.payload}:{type:L.Pong},m)),v.emit(`pong`,!1,n.payload));return}if(f)return;if(n.type!==L.ConnectionAck)throw Error(`First message cannot be of type ${n.type}`);clearTimeout(a),f=!0,v.emit(`connected`,i,n.payload,C),C=!1,w=0;let r=new Promise((e,t)=>y(t));r.catch(()=>{}),e([i,r])}catch(e){i.onmessage=null,v.emit(`error`,e),i.close(I.BadResponse,F(e instanceof Error?e.message:String(e),`Bad response`))}}})()));e.readyState===_.CLOSING&&await r;let i=()=>{},l=new Promise(e=>i=e);return[e,i,new Promise((t,n)=>{let i=y(n);e.readyState!==_.OPEN&&r.catch(n),l.then(()=>{if(i(),!x){let t=()=>e.close(1e3,`Normal Closure`);isFinite(a)&&a>0?(clearTimeout(S),S=setTimeout(()=>{!x&&e.readyState===_.OPEN&&t()},a)):t()}t()})})]}function D(e){if(V(e)&&(ae(e.code)||[I.InternalServerError,I.InternalClientError,I.BadRequest,I.BadResponse,I.Unauthorized,I.SubprotocolNotAcceptable,I.SubscriberAlreadyExists,I.TooManyInitialisationRequests].includes(e.code)))throw e;if(T)return!1;if(V(e)&&e.code===1e3)return x>0;if(!l||w>=l||!d(e))throw e;return C=!0}r||(async()=>{for(x++;;)try{let[,,e]=await E();await e}catch(e){try{if(!D(e))return}catch(e){return i?.(e)}}})();function O(e,t){let n=ee(e),r=!1,i=!1,a=()=>{x--,r=!0};return(async()=>{for(x++;;)try{let[o,s,c]=await E();if(r)return c.catch(()=>{}),s();let l=v.onMessage(n,e=>{switch(e.type){case L.Next:t.next(e.payload);return;case L.Error:i=!0,r=!0,t.error(e.payload),a();return;case L.Complete:r=!0,a();return}});o.send(z({id:n,type:L.Subscribe,payload:e},m)),a=()=>{!r&&o.readyState===_.OPEN&&o.send(z({id:n,type:L.Complete},m)),x--,r=!0,s()},await c.finally(l);return}catch(e){if(!D(e))return}})().then(()=>{i||t.complete()}).catch(e=>{t.error(e)}),()=>{r||a()}}return{on:v.on,subscribe:O,iterate(e){let t=[],n={done:!1,error:null,resolve:()=>{}},r=O(e,{next(e){t.push(e),n.resolve()},error(e){n.done=!0,n.error=e,n.resolve()},complete(){n.done=!0,n.resolve()}}),i=async function*(){for(;;){for(t.length||await new Promise(e=>n.resolve=e);t.length;)yield t.shift();if(n.error)throw n.error;if(n.done)return}}();return i.throw=async e=>(n.done||(n.done=!0,n.error=e,n.resolve()),{done:!0,value:void 0}),i.return=async()=>(r(),{done:!0,value:void 0}),i},async dispose(){if(T=!0,b){let[e]=await b;e.close(1e3,`Normal Closure`)}},terminate(){b&&v.emit(`closed`,new B)}}}var B=class extends Error{name=`TerminatedCloseEvent`;message=`4499: Terminated`;code=4499;reason=`Terminated`;wasClean=!1};function V(e){return P(e)&&`code`in e&&`reason`in e}function ae(e){return![1e3,1001,1006,1005,1012,1013,1014].includes(e)&&e>=1e3&&e<=1999}function oe(e){return typeof e==`function`&&`constructor`in e&&`CLOSED`in e&&`CLOSING`in e&&`CONNECTING`in e&&`OPEN`in e}var H=5e3,se=1e4,U=4e3,ce=class{status={state:`connecting`,since:Date.now()};client;listeners=new Set;retryAfterMs;hurry=()=>{};constructor(e,t){let n;this.client=ie({url:e,connectionParams:t,keepAlive:se,connectionAckWaitTimeout:H,lazyCloseTimeout:1e3,retryAttempts:1/0,shouldRetry:e=>!(W(e)&&e.code===U),retryWait:e=>this.wait(S(e,this.retryAfterMs)),on:{connected:()=>this.become(`live`),closed:e=>{clearTimeout(n),this.retryAfterMs=W(e)?G(e.reason):void 0,this.become(`reconnecting`)},ping:e=>{e||(n=setTimeout(()=>this.client.terminate(),H))},pong:e=>{e&&clearTimeout(n)}}}),globalThis.addEventListener?.(`online`,()=>this.hurry())}listen(e){return this.listeners.add(e),()=>this.listeners.delete(e)}follow(e,t,n,r){let i=!1,a=e=>{i||r(e),i=!0},o={query:e.toString(),get variables(){return t()}},s=this.client.subscribe(o,{next:e=>{let{data:t,errors:r}=e;r?.[0]?a(_.from(r[0])):t&&!i&&n(t)},error:e=>a(le(e)),complete:()=>a(new _(`UNAVAILABLE`,`The subscription ended`))});return()=>{i=!0,s()}}close(){this.client.dispose()}become(e){if(this.status.state!==e){this.status={state:e,since:Date.now()};for(let e of this.listeners)e()}}wait(e){return new Promise(t=>{let n=setTimeout(t,e);this.hurry=()=>{clearTimeout(n),t()}})}};function W(e){return typeof e==`object`&&!!e&&`code`in e&&`reason`in e}function G(e){try{let t=JSON.parse(e).retryAfterMs;return typeof t==`number`?t:void 0}catch{return}}function le(e){return Array.isArray(e)&&e[0]?_.from(e[0]):W(e)?e.code===U?new _(`KICKED`,e.reason):new _(`INTERNAL`,e.reason||`The server closed the connection (${e.code})`):new _(`INTERNAL`,String(e))}var K=`plan-dag-canvas`,ue=100,de=1e3,q=4e3,J=class{url;me;kicked=null;people=new Map;listeners=new Set;socket=null;attempt=0;stopped=!1;retry;place=null;sending;constructor(e,t){this.url=e,this.me=t}subscribe=e=>(this.listeners.add(e),()=>this.listeners.delete(e));snapshot=()=>this.people;start(){this.stopped=!1,this.kicked=null;let e=new WebSocket(this.url);this.socket=e,e.onopen=()=>{this.attempt=0;let{userId:e,name:t,color:n}=this.me;this.tell(`join_session`,{userId:e,userName:t,avatarColor:n,documentId:K})},e.onmessage=e=>this.take(JSON.parse(String(e.data))),e.onclose=({code:t,reason:n})=>{this.socket===e&&(t===q&&(this.kicked=n),this.replace(new Map),!this.stopped&&t!==de&&t!==q&&(this.retry=setTimeout(()=>this.start(),S(this.attempt++,G(n)))))}}stop(){this.stopped=!0,clearTimeout(this.retry),clearTimeout(this.sending),this.socket?.close()}move(e,t=null){this.place={position:e,selectedNodeId:t},this.sending??=setTimeout(()=>{this.sending=void 0;let{position:{x:e,y:t},selectedNodeId:n}=this.place;this.tell(`cursor_update`,{documentId:K,documentType:`canvas`,position:{type:`canvas`,x:e,y:t},timestamp:Date.now(),...n===null?{}:{selectedNodeId:n}})},ue)}tell(e,t){this.socket?.readyState===WebSocket.OPEN&&this.socket.send(JSON.stringify({type:e,data:t}))}take({type:e,data:t}){if(e===`bulk_presence`)this.replace(new Map(t.filter(e=>this.isThere(e)).map(e=>[e.userId,Y(e)])));else if(e===`user_presence`){let e=t,n=new Map(this.people);this.isThere(e)?n.set(e.userId,Y(e)):n.delete(e.userId),this.replace(n)}}isThere(e){return e.isOnline&&e.userId!==this.me.userId}replace(e){this.people=e;for(let e of this.listeners)e()}};function Y({userId:e,userName:t,avatarColor:n,isAgent:r,documents:i}){let{position:a=null,selectedNodeId:o=null}=i[K]??{};return{userId:e,name:t,color:n,isAgent:r,cursor:a&&{x:a.x,y:a.y},selectedNodeId:o}}var X=`layercake-window`,Z=e=>`layercake-window-${e}`,fe=500;async function pe(){let e=he()??C();await Q(e)||(e=C(),await Q(e));try{sessionStorage.setItem(X,e)}catch{}return e}async function me(){if(!$())return null;let e=Z(``),{held:t=[]}=await navigator.locks.query();return new Set(t.flatMap(({name:t})=>t?.startsWith(e)?[t.slice(e.length)]:[]))}function he(){try{return sessionStorage.getItem(X)}catch{return null}}function Q(e){return $()?new Promise(t=>{navigator.locks.request(Z(e),{signal:AbortSignal.timeout(fe)},()=>(t(!0),new Promise(()=>{}))).catch(()=>t(!1))}):Promise.resolve(!0)}function $(){return typeof navigator<`u`&&`locks`in navigator}var ge=class{clientId;name;url;token;post;journal;opened;constructor({url:e,token:t,name:n},r,i){this.url=e.replace(/\/$/,``),this.token=t,this.name=n,this.clientId=r,this.journal=i,this.post=y(`${this.url}/graphql`,()=>({...this.token?{authorization:`Bearer ${this.token}`}:{},...this.name?{"x-layercake-name":encodeURIComponent(this.name.toWellFormed())}:{}}))}async request(e,t){return x(await this.post(e,t))}plan(e){let t=new k({projectId:e,clientId:this.clientId,journal:this.journal,post:this.post,socket:this.socket,openWindows:me,now:()=>Date.now(),beforeFrame:ve,delay:e=>new Promise(t=>setTimeout(t,e))});return t.start(),t}presence(e,t=`#3b82f6`){let n=new J(`${this.webSocketURL()}/ws/collaboration?project_id=${e}`,{userId:this.clientId,name:this.name??`Somebody`,color:t});return n.start(),n}close(){this.opened?.close()}get socket(){return this.opened??=new ce(`${this.webSocketURL()}/graphql/ws`,()=>({...this.token?{token:this.token}:{},...this.name?{name:this.name}:{}})),this.opened}webSocketURL(){return this.url.replace(/^http/,`ws`)}};async function _e(t){let[n,r]=await Promise.all([pe(),e()]);return new ge(t,n,r)}function ve(e){typeof requestAnimationFrame>`u`?setTimeout(e):requestAnimationFrame(e)}export{ge as Connection,_ as Failure,k as PlanStore,J as PresenceStore,_e as connect,C as newId};