import{t as e}from"./rolldown-runtime-WkwZ5CU-.js";var t=e((e=>{var t=Symbol.for(`react.transitional.element`),n=Symbol.for(`react.portal`),r=Symbol.for(`react.fragment`),i=Symbol.for(`react.strict_mode`),a=Symbol.for(`react.profiler`),o=Symbol.for(`react.consumer`),s=Symbol.for(`react.context`),c=Symbol.for(`react.forward_ref`),l=Symbol.for(`react.suspense`),u=Symbol.for(`react.memo`),d=Symbol.for(`react.lazy`),f=Symbol.for(`react.activity`),p=Symbol.for(`react.view_transition`),m=Symbol.iterator;function h(e){return typeof e!=`object`||!e?null:(e=m&&e[m]||e[`@@iterator`],typeof e==`function`?e:null)}var g={isMounted:function(){return!1},enqueueForceUpdate:function(){},enqueueReplaceState:function(){},enqueueSetState:function(){}},_=Object.assign,v={};function y(e,t,n){this.props=e,this.context=t,this.refs=v,this.updater=n||g}y.prototype.isReactComponent={},y.prototype.setState=function(e,t){if(typeof e!=`object`&&typeof e!=`function`&&e!=null)throw Error(`takes an object of state variables to update or a function which returns an object of state variables.`);this.updater.enqueueSetState(this,e,t,`setState`)},y.prototype.forceUpdate=function(e){this.updater.enqueueForceUpdate(this,e,`forceUpdate`)};function b(){}b.prototype=y.prototype;function x(e,t,n){this.props=e,this.context=t,this.refs=v,this.updater=n||g}var S=x.prototype=new b;S.constructor=x,_(S,y.prototype),S.isPureReactComponent=!0;var C=Array.isArray;function w(){}var T={H:null,A:null,T:null,S:null},E=Object.prototype.hasOwnProperty;function D(e,n,r){var i=r.ref;return{$$typeof:t,type:e,key:n,ref:i===void 0?null:i,props:r}}function O(e,t){return D(e.type,t,e.props)}function k(e){return typeof e==`object`&&!!e&&e.$$typeof===t}function ee(e){var t={"=":`=0`,":":`=2`};return`$`+e.replace(/[=:]/g,function(e){return t[e]})}var A=/\/+/g;function j(e,t){return typeof e==`object`&&e&&e.key!=null?ee(``+e.key):t.toString(36)}function te(e){switch(e.status){case`fulfilled`:return e.value;case`rejected`:throw e.reason;default:switch(typeof e.status==`string`?e.then(w,w):(e.status=`pending`,e.then(function(t){e.status===`pending`&&(e.status=`fulfilled`,e.value=t)},function(t){e.status===`pending`&&(e.status=`rejected`,e.reason=t)})),e.status){case`fulfilled`:return e.value;case`rejected`:throw e.reason}}throw e}function M(e,r,i,a,o){var s=typeof e;(s===`undefined`||s===`boolean`)&&(e=null);var c=!1;if(e===null)c=!0;else switch(s){case`bigint`:case`string`:case`number`:c=!0;break;case`object`:switch(e.$$typeof){case t:case n:c=!0;break;case d:return c=e._init,M(c(e._payload),r,i,a,o)}}if(c)return o=o(e),c=a===``?`.`+j(e,0):a,C(o)?(i=``,c!=null&&(i=c.replace(A,`$&/`)+`/`),M(o,r,i,``,function(e){return e})):o!=null&&(k(o)&&(o=O(o,i+(o.key==null||e&&e.key===o.key?``:(``+o.key).replace(A,`$&/`)+`/`)+c)),r.push(o)),1;c=0;var l=a===``?`.`:a+`:`;if(C(e))for(var u=0;u<e.length;u++)a=e[u],s=l+j(a,u),c+=M(a,r,i,s,o);else if(u=h(e),typeof u==`function`)for(e=u.call(e),u=0;!(a=e.next()).done;)a=a.value,s=l+j(a,u++),c+=M(a,r,i,s,o);else if(s===`object`){if(typeof e.then==`function`)return M(te(e),r,i,a,o);throw r=String(e),Error(`Objects are not valid as a React child (found: `+(r===`[object Object]`?`object with keys {`+Object.keys(e).join(`, `)+`}`:r)+`). If you meant to render a collection of children, use an array instead.`)}return c}function N(e,t,n){if(e==null)return e;var r=[],i=0;return M(e,r,``,``,function(e){return t.call(n,e,i++)}),r}function P(e){if(e._status===-1){var t=e._result,n=t();n.then(function(t){(e._status===0||e._status===-1)&&(e._status=1,e._result=t,n.status===void 0&&(n.status=`fulfilled`,n.value=t))},function(t){(e._status===0||e._status===-1)&&(e._status=2,e._result=t,n.status===void 0&&(n.status=`rejected`,n.reason=t))}),e._status===-1&&(e._status=0,e._result=n)}if(e._status===1)return e._result.default;throw e._result}var F=typeof reportError==`function`?reportError:function(e){if(typeof window==`object`&&typeof window.ErrorEvent==`function`){var t=new window.ErrorEvent(`error`,{bubbles:!0,cancelable:!0,message:typeof e==`object`&&e&&typeof e.message==`string`?String(e.message):String(e),error:e});if(!window.dispatchEvent(t))return}else if(typeof process==`object`&&typeof process.emit==`function`){process.emit(`uncaughtException`,e);return}console.error(e)};function I(e){var t=T.T,n={};n.types=t===null?null:t.types,T.T=n;try{var r=e(),i=T.S;i!==null&&i(n,r),typeof r==`object`&&r&&typeof r.then==`function`&&r.then(w,F)}catch(e){F(e)}finally{t!==null&&n.types!==null&&(t.types=n.types),T.T=t}}function L(e){var t=T.T;if(t!==null){var n=t.types;n===null?t.types=[e]:n.indexOf(e)===-1&&n.push(e)}else I(L.bind(null,e))}var ne={map:N,forEach:function(e,t,n){N(e,function(){t.apply(this,arguments)},n)},count:function(e){var t=0;return N(e,function(){t++}),t},toArray:function(e){return N(e,function(e){return e})||[]},only:function(e){if(!k(e))throw Error(`React.Children.only expected to receive a single React element child.`);return e}};e.Activity=f,e.Children=ne,e.Component=y,e.Fragment=r,e.Profiler=a,e.PureComponent=x,e.StrictMode=i,e.Suspense=l,e.ViewTransition=p,e.__CLIENT_INTERNALS_DO_NOT_USE_OR_WARN_USERS_THEY_CANNOT_UPGRADE=T,e.__COMPILER_RUNTIME={__proto__:null,c:function(e){return T.H.useMemoCache(e)}},e.addTransitionType=L,e.cache=function(e){return function(){return e.apply(null,arguments)}},e.cacheSignal=function(){return null},e.cloneElement=function(e,t,n){if(e==null)throw Error(`The argument must be a React element, but you passed `+e+`.`);var r=_({},e.props),i=e.key;if(t!=null)for(a in t.key!==void 0&&(i=``+t.key),t)!E.call(t,a)||a===`key`||a===`__self`||a===`__source`||a===`ref`&&t.ref===void 0||(r[a]=t[a]);var a=arguments.length-2;if(a===1)r.children=n;else if(1<a){for(var o=Array(a),s=0;s<a;s++)o[s]=arguments[s+2];r.children=o}return D(e.type,i,r)},e.createContext=function(e){return e={$$typeof:s,_currentValue:e,_currentValue2:e,_threadCount:0,Provider:null,Consumer:null},e.Provider=e,e.Consumer={$$typeof:o,_context:e},e},e.createElement=function(e,t,n){var r,i={},a=null;if(t!=null)for(r in t.key!==void 0&&(a=``+t.key),t)E.call(t,r)&&r!==`key`&&r!==`__self`&&r!==`__source`&&(i[r]=t[r]);var o=arguments.length-2;if(o===1)i.children=n;else if(1<o){for(var s=Array(o),c=0;c<o;c++)s[c]=arguments[c+2];i.children=s}if(e&&e.defaultProps)for(r in o=e.defaultProps,o)i[r]===void 0&&(i[r]=o[r]);return D(e,a,i)},e.createRef=function(){return{current:null}},e.forwardRef=function(e){return{$$typeof:c,render:e}},e.isValidElement=k,e.lazy=function(e){return{$$typeof:d,_payload:{_status:-1,_result:e},_init:P}},e.memo=function(e,t){return{$$typeof:u,type:e,compare:t===void 0?null:t}},e.startTransition=I,e.unstable_useCacheRefresh=function(){return T.H.useCacheRefresh()},e.use=function(e){return T.H.use(e)},e.useActionState=function(e,t,n){return T.H.useActionState(e,t,n)},e.useCallback=function(e,t){return T.H.useCallback(e,t)},e.useContext=function(e){return T.H.useContext(e)},e.useDebugValue=function(){},e.useDeferredValue=function(e,t){return T.H.useDeferredValue(e,t)},e.useEffect=function(e,t){return T.H.useEffect(e,t)},e.useEffectEvent=function(e){return T.H.useEffectEvent(e)},e.useId=function(){return T.H.useId()},e.useImperativeHandle=function(e,t,n){return T.H.useImperativeHandle(e,t,n)},e.useInsertionEffect=function(e,t){return T.H.useInsertionEffect(e,t)},e.useLayoutEffect=function(e,t){return T.H.useLayoutEffect(e,t)},e.useMemo=function(e,t){return T.H.useMemo(e,t)},e.useOptimistic=function(e,t){return T.H.useOptimistic(e,t)},e.useReducer=function(e,t,n){return T.H.useReducer(e,t,n)},e.useRef=function(e){return T.H.useRef(e)},e.useState=function(e){return T.H.useState(e)},e.useSyncExternalStore=function(e,t,n){return T.H.useSyncExternalStore(e,t,n)},e.useTransition=function(){return T.H.useTransition()},e.version=`19.3.1`})),n=e(((e,n)=>{n.exports=t()})),r=e((e=>{var t=n();function r(e){var t=`https://react.dev/errors/`+e;if(1<arguments.length){t+=`?args[]=`+encodeURIComponent(arguments[1]);for(var n=2;n<arguments.length;n++)t+=`&args[]=`+encodeURIComponent(arguments[n])}return`Minified React error #`+e+`; visit `+t+` for the full message or use the non-minified dev environment for full errors and additional helpful warnings.`}function i(){}var a={d:{f:i,r:function(){throw Error(r(522))},D:i,C:i,L:i,m:i,X:i,S:i,M:i},p:0,findDOMNode:null},o=Symbol.for(`react.portal`),s=Symbol.for(`react.recoverable`),c=Symbol.for(`react.optimistic_key`);function l(e,t,n){var r=3<arguments.length&&arguments[3]!==void 0?arguments[3]:null;return{$$typeof:o,key:r==null?null:r===c?c:``+r,children:e,containerInfo:t,implementation:n}}var u=t.__CLIENT_INTERNALS_DO_NOT_USE_OR_WARN_USERS_THEY_CANNOT_UPGRADE;function d(e,t){if(e===`font`)return``;if(typeof t==`string`)return t===`use-credentials`?t:``}e.__DOM_INTERNALS_DO_NOT_USE_OR_WARN_USERS_THEY_CANNOT_UPGRADE=a,e.browser=function(e){return{$$typeof:s,_reason:e}},e.createPortal=function(e,t){var n=2<arguments.length&&arguments[2]!==void 0?arguments[2]:null;if(!t||t.nodeType!==1&&t.nodeType!==9&&t.nodeType!==11)throw Error(r(299));return l(e,t,null,n)},e.flushSync=function(e){var t=u.T,n=a.p;try{if(u.T=null,a.p=2,e)return e()}finally{u.T=t,a.p=n,a.d.f()}},e.preconnect=function(e,t){typeof e==`string`&&(t?(t=t.crossOrigin,t=typeof t==`string`?t===`use-credentials`?t:``:void 0):t=null,a.d.C(e,t))},e.prefetchDNS=function(e){typeof e==`string`&&a.d.D(e)},e.preinit=function(e,t){if(typeof e==`string`&&t&&typeof t.as==`string`){var n=t.as,r=d(n,t.crossOrigin),i=typeof t.integrity==`string`?t.integrity:void 0,o=typeof t.fetchPriority==`string`?t.fetchPriority:void 0;n===`style`?a.d.S(e,typeof t.precedence==`string`?t.precedence:void 0,{crossOrigin:r,integrity:i,fetchPriority:o}):n===`script`&&a.d.X(e,{crossOrigin:r,integrity:i,fetchPriority:o,nonce:typeof t.nonce==`string`?t.nonce:void 0})}},e.preinitModule=function(e,t){if(typeof e==`string`){if(typeof t==`object`&&t){if(t.as==null||t.as===`script`){var n=d(t.as,t.crossOrigin);a.d.M(e,{crossOrigin:n,integrity:typeof t.integrity==`string`?t.integrity:void 0,nonce:typeof t.nonce==`string`?t.nonce:void 0,fetchPriority:typeof t.fetchPriority==`string`?t.fetchPriority:void 0})}}else t??a.d.M(e)}},e.preload=function(e,t){if(typeof e==`string`&&typeof t==`object`&&t&&typeof t.as==`string`){var n=t.as,r=d(n,t.crossOrigin);a.d.L(e,n,{crossOrigin:r,integrity:typeof t.integrity==`string`?t.integrity:void 0,nonce:typeof t.nonce==`string`?t.nonce:void 0,type:typeof t.type==`string`?t.type:void 0,fetchPriority:typeof t.fetchPriority==`string`?t.fetchPriority:void 0,referrerPolicy:typeof t.referrerPolicy==`string`?t.referrerPolicy:void 0,imageSrcSet:typeof t.imageSrcSet==`string`?t.imageSrcSet:void 0,imageSizes:typeof t.imageSizes==`string`?t.imageSizes:void 0,media:typeof t.media==`string`?t.media:void 0})}},e.preloadModule=function(e,t){if(typeof e==`string`){if(t){var n=d(t.as,t.crossOrigin);a.d.m(e,{as:typeof t.as==`string`&&t.as!==`script`?t.as:void 0,crossOrigin:n,integrity:typeof t.integrity==`string`?t.integrity:void 0,nonce:typeof t.nonce==`string`?t.nonce:void 0,fetchPriority:typeof t.fetchPriority==`string`?t.fetchPriority:void 0})}else a.d.m(e)}},e.requestFormReset=function(e){a.d.r(e)},e.unstable_batchedUpdates=function(e,t){return e(t)},e.useFormState=function(e,t,n){return u.H.useFormState(e,t,n)},e.useFormStatus=function(){return u.H.useHostTransitionStatus()},e.version=`19.3.1`})),i=e(((e,t)=>{function n(){if(typeof __REACT_DEVTOOLS_GLOBAL_HOOK__<`u`&&typeof __REACT_DEVTOOLS_GLOBAL_HOOK__.checkDCE==`function`)try{__REACT_DEVTOOLS_GLOBAL_HOOK__.checkDCE(n)}catch(e){console.error(e)}}n(),t.exports=r()})),a=new Set,o=()=>{for(let e of a)e()};addEventListener(`popstate`,o);var s=()=>location.pathname;function c(e){return a.add(e),()=>a.delete(e)}function l(e,t){history.pushState({hint:t},``,e),o()}function u(){let e=history.state;return typeof e==`object`&&e&&`hint`in e&&typeof e.hint==`string`?e.hint:void 0}async function d(){try{return new h(await g())}catch{return f()}}function f(){let e=new Map;return{durable:!1,load:async t=>v([...e.values()].filter(e=>e.projectId===t)),write:async(t,n)=>{for(let t of n)e.delete(t);for(let n of t)e.set(n.opId,n)}}}var p=`changes`,m=`project`,h=class{durable=!0;#e;#t=new Map;constructor(e){this.#e=e,e.onversionchange=()=>e.close(),e.onclose=()=>{this.durable=!1}}async load(e){try{let t=this.#e.transaction(p).objectStore(p).index(m).getAll(e);return this.#n(e,await _(t))}catch{return this.durable=!1,this.#n(e,[])}}#n(e,t){let n=[...this.#t.values()].filter(t=>t.projectId===e);return v([...t.filter(e=>!this.#t.has(e.opId)),...n])}async write(e,t){for(let e of t)this.#t.delete(e);for(let t of e)this.#t.set(t.opId,t);let n=[...this.#t.values()];try{let e=this.#e.transaction(p,`readwrite`,{durability:`relaxed`}),r=e.objectStore(p);for(let e of t)r.delete(e);for(let e of n)r.put(e);await new Promise((t,n)=>{e.oncomplete=()=>t(),e.onabort=()=>n(e.error)});for(let e of n)this.#t.get(e.opId)===e&&this.#t.delete(e.opId);this.durable=this.#t.size===0}catch{this.durable=!1}}};function g(){let e=indexedDB.open(`layercake`,1);return e.onupgradeneeded=()=>{e.result.createObjectStore(p,{keyPath:`opId`}).createIndex(m,`projectId`)},_(e)}function _(e){return new Promise((t,n)=>{e.onsuccess=()=>t(e.result),e.onerror=()=>n(e.error)})}function v(e){return e.toSorted((e,t)=>e.seq-t.seq)}function y(e,t){let{nodes:n,edges:r}=e;if(`addNode`in t)n.has(t.addNode.id)||n.set(t.addNode.id,t.addNode);else if(`updateNode`in t){let e=n.get(t.updateNode.id);e&&n.set(e.id,{...e,...t.updateNode.updates})}else if(`moveNodes`in t)for(let{nodeId:e,position:r}of t.moveNodes){let t=n.get(e);t&&n.set(e,{...t,position:r})}else if(`deleteNode`in t){n.delete(t.deleteNode);for(let e of r.values())(e.source===t.deleteNode||e.target===t.deleteNode)&&r.delete(e.id)}else if(`addEdge`in t){let{id:e,source:i,target:a}=t.addEdge;!r.has(e)&&n.has(i)&&n.has(a)&&r.set(e,t.addEdge)}else if(`updateEdge`in t){let e=r.get(t.updateEdge.id);e&&r.set(e.id,{...e,...t.updateEdge.updates})}else r.delete(t.deleteEdge)}function b(e,{kind:t,id:n,after:r}){switch(t){case`NODE_ADDED`:case`NODE_UPDATED`:e.nodes.set(n,r);break;case`NODE_REMOVED`:e.nodes.delete(n);break;case`EDGE_ADDED`:case`EDGE_UPDATED`:e.edges.set(n,r);break;case`EDGE_REMOVED`:e.edges.delete(n)}}function x(e){let t=e=>`node ${e}`,n=e=>`edge ${e}`;return`addNode`in e?{writes:[t(e.addNode.id)],needs:[]}:`updateNode`in e?{writes:[t(e.updateNode.id)],needs:[]}:`moveNodes`in e?{writes:e.moveNodes.map(e=>t(e.nodeId)),needs:[]}:`deleteNode`in e?{writes:[t(e.deleteNode)],needs:[]}:`addEdge`in e?{writes:[n(e.addEdge.id)],needs:[t(e.addEdge.source),t(e.addEdge.target)]}:`updateEdge`in e?{writes:[n(e.updateEdge.id)],needs:[]}:{writes:[n(e.deleteEdge)],needs:[]}}var S=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}};new S(`
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
    `,{fragmentName:`Node`}),new S(`
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
    `,{fragmentName:`Edge`}),new S(`
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
}`,{fragmentName:`Graph`}),new S(`
    fragment Step on PlanEvent {
  version
  cursor
  snapshot
  opId
  plan {
    ...Graph
  }
  operations {
    kind
    id
    after
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
}`,{fragmentName:`Step`});var C=new S(`
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
}`),w=new S(`
    subscription PlanEvents($projectId: Int!, $after: String) {
  planEvents(projectId: $projectId, after: $after) {
    ...Step
    clientId
    actorId
    actorName
    actorKind
    via
    timestamp
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
}
fragment Step on PlanEvent {
  version
  cursor
  snapshot
  opId
  plan {
    ...Graph
  }
  operations {
    kind
    id
    after
  }
}`),T=new S(`
    query PlanHead($projectId: Int!) {
  project(id: $projectId) {
    live {
      planVersion
    }
  }
}
    `),E=new S(`
    subscription PlanSteps($projectId: Int!, $after: String) {
  planEvents(projectId: $projectId, after: $after) {
    ...Step
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
}
fragment Step on PlanEvent {
  version
  cursor
  snapshot
  opId
  plan {
    ...Graph
  }
  operations {
    kind
    id
    after
  }
}`);function D(e,t){let n=new Set(O(t)?.map(e=>e.nodeId));return[...e.flatMap(e=>{let t=n.size&&!e.sent?O(e):void 0,r=t?.filter(e=>!n.has(e.nodeId));return!r||r.length===t?.length?[e]:r.length?[{...e,edits:[{moveNodes:r}]}]:[]}),{...t,sent:!1}]}function O({edits:e}){let[t,...n]=e;return t&&`moveNodes`in t&&n.length===0?t.moveNodes:void 0}function k(e,t=20){let n=[],r=new Set,i=new Set;for(let a of e){if(a.accepted!==void 0)continue;let e=a.edits.map(x),o=e.flatMap(e=>e.writes),s=e.flatMap(e=>e.needs),c=o.some(e=>r.has(e)||i.has(e))||s.some(e=>r.has(e));if(n.length===t||c)break;n.push(a);for(let e of o)r.add(e);for(let e of s)i.add(e)}return n}function ee(e,t,n){let r=[],i=new Map,a;t.forEach((e,t)=>{let o=n[t];o&&(`failure`in o?o.failure.passes?a??=o.failure:a||r.push({change:e,failure:o.failure}):i.set(e.opId,o.version))});let o=new Set(r.map(({change:e})=>e.opId)),s=e.filter(e=>!o.has(e.opId)).map(e=>i.has(e.opId)?{...e,accepted:i.get(e.opId)}:e),c=new Set(e.map(e=>e.opId));return{queue:s,refused:r.filter(({change:e})=>c.has(e.opId)),wait:a}}var A=class e extends Error{code;path;detail;conflicts;retryAfterMs;requestId;constructor(e,t,n={}){super(t),this.name=`Failure`,this.code=e,this.path=n.path;let{detail:r,conflicts:i,retryAfterMs:a,requestId:o}=n.extensions??{};this.detail=r,this.conflicts=i??[],this.retryAfterMs=a,this.requestId=o}get passes(){return this.code===`NETWORK`||this.code===`UNAVAILABLE`||this.code===`RATE_LIMITED`}static from(t){return new e(t.extensions?.code??`INTERNAL`,t.message,t)}},j=3e4;function te(e,t){return async(n,r)=>{let i;try{i=await fetch(e,{method:`POST`,headers:{...t(),"content-type":`application/json`,accept:`application/graphql-response+json, application/json`},body:JSON.stringify({query:n.toString(),variables:r}),signal:AbortSignal.timeout(j)})}catch{throw new A(`NETWORK`,`The server cannot be reached`)}try{let e=await i.json();if(M(e))return e}catch{}throw new A(`NETWORK`,`The server cannot be reached (status ${i.status})`)}}function M(e){return typeof e==`object`&&!!e&&(`data`in e||`errors`in e)}function N(e){let t=e.errors?.[0];if(t)throw A.from(t);if(!e.data)throw new A(`INTERNAL`,`The answer has no data`);return e.data}function P(e,t){return t??Math.min(250*2**e,5e3)*(.5+Math.random()/2)}function F(){return Array.from(crypto.getRandomValues(new Uint8Array(16)),e=>e.toString(16).padStart(2,`0`)).join(``)}function I(e,t){let n={projectId:e},r=[`$projectId: Int!`],i=t.map(({opId:e,clientId:t,edits:i},a)=>(Object.assign(n,{[`edits${a}`]:i,[`opId${a}`]:e,[`clientId${a}`]:t}),r.push(`$edits${a}: [PlanEdit!]!, $opId${a}: String, $clientId${a}: String`),`${L(a)}: editPlan(projectId: $projectId, edits: $edits${a}, opId: $opId${a}, clientId: $clientId${a}) { version }`));return{document:`mutation (${r.join(`, `)}) {\n  ${i.join(`
  `)}\n}`,variables:n}}var L=e=>`c${e}`;async function ne(e,t,n){let{document:r,variables:i}=I(t,n),a=await e(r,i),o=new Map;for(let e of a.errors??[]){let t=e.path?.[0];if(t===void 0)throw R(e)?new A(`UNAVAILABLE`,e.message,e):A.from(e);o.set(String(t),A.from(e))}let s=n.map((e,t)=>{let n=o.get(L(t));return n?{failure:n}:a.data?.[L(t)]});if(s.every(e=>e===void 0))throw new A(`NETWORK`,`The answer is not one of the server`);return s}function R({message:e}){return/^(Unknown type|Unknown argument|Cannot query field) /.test(e)}var re=36e5,ie=class{#e={nodes:new Map,edges:new Map};#t=-1;#n=null;#r=``;#i=[];#a=[];#o=[];#s;#c=0;#l=null;#u=null;#d=!1;#f=!1;#p=!1;#m=new Set;#h=new Set;#g=()=>{};#_=!1;#v=()=>{};#y=0;#b=()=>{};#x=new Set;#S=Promise.resolve();#C;constructor(e){this.#C=e,this.#s={state:`connecting`,since:e.now(),behind:0}}subscribe=e=>(this.#m.add(e),()=>this.#m.delete(e));hear(e){return this.#h.add(e),()=>this.#h.delete(e)}snapshot=()=>(this.#l??={plan:this.#t<0?null:this.#u??=this.#R(),projectName:this.#r,status:this.#s,waiting:z(this.#i).size,refused:this.#a,undecided:this.#o,durable:this.#C.journal.durable},this.#l);change(e){let{projectId:t,clientId:n}=this.#C,r={opId:F(),projectId:t,clientId:n,at:this.#C.now(),seq:++this.#c,edits:e};return this.#I(D(this.#i,r)),this.#s.state===`ended`&&this.#V(this.#s.failure),this.#P(),r.opId}send(e){let t=this.#o.filter(t=>e.includes(t.opId));this.#o=this.#o.filter(t=>!e.includes(t.opId));let n=t.map(e=>({...e,clientId:this.#C.clientId,at:this.#C.now(),seq:++this.#c,sent:!0}));this.#I([...this.#i,...n]),this.#P()}discard(e){let t=t=>e.includes(t.opId),n=this.#a.map(({change:e})=>e);this.#L([],[...this.#o,...n].filter(t).map(e=>e.opId)),this.#o=this.#o.filter(e=>!t(e)),this.#a=this.#a.filter(({change:e})=>!t(e)),this.#H()}async start(){let{socket:e}=this.#C,{state:t}=e.snapshot();this.#v=e.subscribe(()=>{let n=t;t=e.snapshot().state,t!==n&&this.#O(t)}),await this.#T(),await this.comeBack()}async comeBack(){this.#p=!1,this.#s={state:`connecting`,since:this.#C.now(),behind:0},this.#H(),await this.#D()&&(this.#C.socket.snapshot().state===`live`&&this.#z(`live`),this.#j()),this.#P()}stop(){this.#v(),this.#w()}#w(){this.#p=!0,this.#g(),this.#b(),this.#W()}async#T(){let{journal:e,projectId:t,clientId:n}=this.#C,[r,i]=await Promise.all([e.load(t),this.#C.openWindows()]),a=r.filter(e=>e.clientId===n);this.#o=[...a.filter(e=>this.#E(e)),...r.filter(e=>e.clientId!==n&&i&&!i.has(e.clientId))],this.#i=[...a.filter(e=>!this.#E(e)).map(e=>({...e,sent:!0})),...this.#i],this.#c=Math.max(this.#c,...r.map(e=>e.seq)),this.#H()}#E(e){return Math.abs(this.#C.now()-e.at)>re}async#D(){for(let e=0;!this.#p;e++)try{let{project:e,getPlanDag:t}=N(await this.#C.post(C,{projectId:this.#C.projectId}));if(!e||!t)throw new A(`NOT_FOUND`,`Project not found`);return this.#r=e.name,this.#N(t),!0}catch(t){let n=B(t);if(!n.passes)return this.#B(n),!1;this.#z(`reconnecting`),await this.#U(P(e,n.retryAfterMs))}return!1}#O(e){if(e!==`live`)return this.#z(e);this.#W(),this.#t<0||(this.#s.state===`reconnecting`?this.#k():this.#z(`live`),this.#_&&this.#j())}#k(){this.#b();let{socket:e,projectId:t}=this.#C;this.#b=e.follow(T,()=>({projectId:t}),({project:e})=>{this.#b(),this.#A(e?.live.planVersion)},()=>this.#A())}#A(e=0){this.#y=e;let t=Math.max(0,e-this.#t);this.#z(t>0?`catchingUp`:`live`,t)}#j(e=0,t=!1){this.#g(),this.#_=t;let n=()=>({projectId:this.#C.projectId,after:this.#n}),r=!1,i=t?E:w;this.#g=this.#C.socket.follow(i,n,({planEvents:e})=>{r=!0,this.#M(e)},async n=>{if(!t&&R(n))return this.#j(e,!0);if(!n.passes)return this.#B(n);let i=r?0:e+1;await this.#U(P(i,n.retryAfterMs)),this.#p||this.#j(i)})}#M(e){if(e.snapshot){e.plan&&this.#N(e.plan);return}if(e.version<=this.#t)return;for(let t of e.operations)b(this.#e,t);if(this.#t=e.version,this.#n=e.cursor,this.#I(this.#i.filter(t=>t.opId!==e.opId)),e.actorId===void 0)return;let{plan:t,operations:n,...r}=e,i=e=>[...new Set(n.flatMap(t=>t.kind.startsWith(e)?[t.id]:[]))];for(let e of this.#h)e({...r,nodeIds:i(`NODE`),edgeIds:i(`EDGE`)})}#N(e){this.#e.nodes=ae(e.nodes),this.#e.edges=ae(e.edges),this.#t=Number(e.version),this.#n=e.cursor,this.#I([...z(this.#i).values()])}async#P(){if(!(this.#f||this.#t<0)){this.#f=!0;try{let e=20,t=0;for(;!this.#p;){await this.#S,this.#F();let n=k(this.#i,e);if(n.length===0)return;for(let e of n)e.sent=!0;let r;try{r=await ne(this.#C.post,this.#C.projectId,n)}catch(t){let i=B(t);if(!i.passes&&n.length>1){e=1;continue}r=n.map(()=>({failure:i}))}let i=ee(this.#i,n,r);this.#a=[...this.#a,...i.refused],i.refused.length>0&&(e=20),this.#I(i.queue),i.wait?await this.#U(P(t++,i.wait.retryAfterMs)):t=0}}finally{this.#f=!1}}}#F(){let e=this.#i.filter(e=>e.accepted===void 0&&this.#E(e));e.length!==0&&(this.#o=[...this.#o,...e],this.#i=this.#i.filter(t=>!e.includes(t)),this.#u=null,this.#H())}#I(e){let t=e.filter(({accepted:e})=>e===void 0||e>this.#t),n=z(this.#i),r=z(t);this.#i=t,this.#u=null,this.#s.state===`catchingUp`&&this.#A(this.#y),this.#L([...r.values()].filter(e=>n.get(e.opId)!==e).map(oe),[...n.keys()].filter(e=>!r.has(e))),this.#H()}#L(e,t){if(e.length===0&&t.length===0)return;let{journal:n}=this.#C,r=n.durable,i=n.write(e,t).then(()=>{n.durable!==r&&this.#H()});this.#S=Promise.all([this.#S,i]).then(()=>{})}#R(){let e={version:this.#t,nodes:new Map(this.#e.nodes),edges:new Map(this.#e.edges)};for(let t of this.#i)for(let n of t.edits)y(e,n);return e}#z(e,t=0){let n=this.#s;n.state===`ended`||n.state===e&&n.behind===t||(this.#s={state:e,since:n.state===e?n.since:this.#C.now(),behind:t},this.#H())}#B(e){this.#s={state:`ended`,since:this.#C.now(),failure:e},this.#w(),this.#V(e),this.#H()}#V(e){e.code===`NOT_FOUND`&&(this.#a=[...this.#a,...[...z(this.#i).values()].map(t=>({change:t,failure:e}))],this.#i=[],this.#u=null,this.#H())}#H(){this.#l=null,this.#d||(this.#d=!0,this.#C.beforeFrame(()=>{this.#d=!1;for(let e of this.#m)e()}))}#U(e){return new Promise(t=>{let n=()=>{this.#x.delete(n),t()};this.#x.add(n),this.#C.delay(e).then(n)})}#W(){for(let e of this.#x)e()}};function ae(e){return new Map(e.map(e=>[e.id,e]))}function z(e){return new Map(e.filter(e=>e.accepted===void 0).map(e=>[e.opId,e]))}function oe({opId:e,projectId:t,clientId:n,at:r,seq:i,edits:a}){return{opId:e,projectId:t,clientId:n,at:r,seq:i,edits:a}}function B(e){return e instanceof A?e:new A(`INTERNAL`,String(e))}function V(e){return e===null?`null`:Array.isArray(e)?`array`:typeof e}function H(e){return V(e)===`object`}function se(e){return Array.isArray(e)&&e.length>0&&e.every(e=>`message`in e)}function ce(e,t){return e.length<124?e:t}var U=(e=>(e[e.InternalServerError=4500]=`InternalServerError`,e[e.InternalClientError=4005]=`InternalClientError`,e[e.BadRequest=4400]=`BadRequest`,e[e.BadResponse=4004]=`BadResponse`,e[e.Unauthorized=4401]=`Unauthorized`,e[e.Forbidden=4403]=`Forbidden`,e[e.SubprotocolNotAcceptable=4406]=`SubprotocolNotAcceptable`,e[e.ConnectionInitialisationTimeout=4408]=`ConnectionInitialisationTimeout`,e[e.ConnectionAcknowledgementTimeout=4504]=`ConnectionAcknowledgementTimeout`,e[e.SubscriberAlreadyExists=4409]=`SubscriberAlreadyExists`,e[e.TooManyInitialisationRequests=4429]=`TooManyInitialisationRequests`,e))(U||{}),W=(e=>(e.ConnectionInit=`connection_init`,e.ConnectionAck=`connection_ack`,e.Ping=`ping`,e.Pong=`pong`,e.Subscribe=`subscribe`,e.Next=`next`,e.Error=`error`,e.Complete=`complete`,e))(W||{});function G(e){if(!H(e))throw Error(`Message is expected to be an object, but got ${V(e)}`);if(!e.type)throw Error(`Message is missing the 'type' property`);if(typeof e.type!=`string`)throw Error(`Message is expects the 'type' property to be a string, but got ${V(e.type)}`);switch(e.type){case`connection_init`:case`connection_ack`:case`ping`:case`pong`:if(e.payload!=null&&!H(e.payload))throw Error(`"${e.type}" message expects the 'payload' property to be an object or nullish or missing, but got "${e.payload}"`);break;case`subscribe`:if(typeof e.id!=`string`)throw Error(`"${e.type}" message expects the 'id' property to be a string, but got ${V(e.id)}`);if(!e.id)throw Error(`"${e.type}" message requires a non-empty 'id' property`);if(!H(e.payload))throw Error(`"${e.type}" message expects the 'payload' property to be an object, but got ${V(e.payload)}`);if(typeof e.payload.query!=`string`)throw Error(`"${e.type}" message payload expects the 'query' property to be a string, but got ${V(e.payload.query)}`);if(e.payload.variables!=null&&!H(e.payload.variables))throw Error(`"${e.type}" message payload expects the 'variables' property to be a an object or nullish or missing, but got ${V(e.payload.variables)}`);if(e.payload.operationName!=null&&V(e.payload.operationName)!==`string`)throw Error(`"${e.type}" message payload expects the 'operationName' property to be a string or nullish or missing, but got ${V(e.payload.operationName)}`);if(e.payload.extensions!=null&&!H(e.payload.extensions))throw Error(`"${e.type}" message payload expects the 'extensions' property to be a an object or nullish or missing, but got ${V(e.payload.extensions)}`);break;case`next`:if(typeof e.id!=`string`)throw Error(`"${e.type}" message expects the 'id' property to be a string, but got ${V(e.id)}`);if(!e.id)throw Error(`"${e.type}" message requires a non-empty 'id' property`);if(!H(e.payload))throw Error(`"${e.type}" message expects the 'payload' property to be an object, but got ${V(e.payload)}`);break;case`error`:if(typeof e.id!=`string`)throw Error(`"${e.type}" message expects the 'id' property to be a string, but got ${V(e.id)}`);if(!e.id)throw Error(`"${e.type}" message requires a non-empty 'id' property`);if(!se(e.payload))throw Error(`"${e.type}" message expects the 'payload' property to be an array of GraphQL errors, but got ${JSON.stringify(e.payload)}`);break;case`complete`:if(typeof e.id!=`string`)throw Error(`"${e.type}" message expects the 'id' property to be a string, but got ${V(e.id)}`);if(!e.id)throw Error(`"${e.type}" message requires a non-empty 'id' property`);break;default:throw Error(`Invalid message 'type' property "${e.type}"`)}return e}function le(e,t){return G(typeof e==`string`?JSON.parse(e,t):e)}function K(e,t){return G(e),JSON.stringify(e,t)}function ue(e){let{url:t,connectionParams:n,lazy:r=!0,onNonLazyError:i=console.error,lazyCloseTimeout:a=0,keepAlive:o=0,disablePong:s,connectionAckWaitTimeout:c=0,retryAttempts:l=5,retryWait:u=async function(e){let t=2**e;await new Promise(e=>setTimeout(e,t*1e3+Math.floor(Math.random()*2700+300)))},shouldRetry:d=q,on:f,webSocketImpl:p,generateID:m=function(){return`xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx`.replace(/[xy]/g,e=>{let t=Math.random()*16|0;return(e==`x`?t:t&3|8).toString(16)})},jsonMessageReplacer:h,jsonMessageReviver:g}=e,_;if(p){if(!pe(p))throw Error(`Invalid WebSocket implementation provided`);_=p}else typeof WebSocket<`u`?_=WebSocket:typeof global<`u`?_=global.WebSocket||global.MozWebSocket:typeof window<`u`&&(_=window.WebSocket||window.MozWebSocket);if(!_)throw Error("WebSocket implementation missing; on Node you can `import WebSocket from 'ws';` and pass `webSocketImpl: WebSocket` to `createClient`");let v=_,y=(()=>{let e=(()=>{let e={};return{on(t,n){return e[t]=n,()=>{delete e[t]}},emit(t){`id`in t&&e[t.id]?.(t)}}})(),t={connecting:f?.connecting?[f.connecting]:[],opened:f?.opened?[f.opened]:[],connected:f?.connected?[f.connected]:[],ping:f?.ping?[f.ping]:[],pong:f?.pong?[f.pong]:[],message:f?.message?[e.emit,f.message]:[e.emit],closed:f?.closed?[f.closed]:[],error:f?.error?[f.error]:[]};return{onMessage:e.on,on(e,n){let r=t[e];return r.push(n),()=>{let e=r.indexOf(n);e>-1&&r.splice(e,1)}},emit(e,...n){for(let r of[...t[e]])r(...n)}}})();function b(e){let t=[y.on(`error`,n=>{t.forEach(e=>e()),e(n)}),y.on(`closed`,n=>{t.forEach(e=>e()),e(n)})];return()=>t.forEach(e=>e())}let x,S=0,C,w=!1,T=0,E=!1;async function D(){clearTimeout(C);let[e,r]=await(x??=new Promise((e,r)=>(async()=>{if(w){if(await u(T),!S)return x=void 0,r({code:1e3,reason:`All Subscriptions Gone`});T++}y.emit(`connecting`,w);let i=new v(typeof t==`function`?await t():t,`graphql-transport-ws`),a,l;function d(){isFinite(o)&&o>0&&(clearTimeout(l),l=setTimeout(()=>{i.readyState===v.OPEN&&(i.send(K({type:W.Ping})),y.emit(`ping`,!1,void 0))},o))}b(e=>{x=void 0,clearTimeout(a),clearTimeout(l),r(e),e instanceof de&&(i.close(4499,`Terminated`),i.onerror=null,i.onclose=null)}),i.onerror=e=>y.emit(`error`,e),i.onclose=e=>y.emit(`closed`,e),i.onopen=async()=>{try{y.emit(`opened`,i);let e=typeof n==`function`?await n():n;if(i.readyState!==v.OPEN)return;i.send(K(e?{type:W.ConnectionInit,payload:e}:{type:W.ConnectionInit},h)),isFinite(c)&&c>0&&(a=setTimeout(()=>{i.close(U.ConnectionAcknowledgementTimeout,`Connection acknowledgement timeout`)},c)),d()}catch(e){y.emit(`error`,e),i.close(U.InternalClientError,ce(e instanceof Error?e.message:String(e),`Internal client error`))}};let f=!1;i.onmessage=({data:t})=>{try{let n=le(t,g);if(y.emit(`message`,n),n.type===`ping`||n.type===`pong`){y.emit(n.type,!0,n.payload),n.type===`pong`?d():s||(i.send(K(n.payload?{type:W.Pong,payload:n.payload}:{type:W.Pong},h)),y.emit(`pong`,!1,n.payload));return}if(f)return;if(n.type!==W.ConnectionAck)throw Error(`First message cannot be of type ${n.type}`);clearTimeout(a),f=!0,y.emit(`connected`,i,n.payload,w),w=!1,T=0;let r=new Promise((e,t)=>b(t));r.catch(()=>{}),e([i,r])}catch(e){i.onmessage=null,y.emit(`error`,e),i.close(U.BadResponse,ce(e instanceof Error?e.message:String(e),`Bad response`))}}})()));e.readyState===v.CLOSING&&await r;let i=()=>{},l=new Promise(e=>i=e);return[e,i,new Promise((t,n)=>{let i=b(n);e.readyState!==v.OPEN&&r.catch(n),l.then(()=>{if(i(),!S){let t=()=>e.close(1e3,`Normal Closure`);isFinite(a)&&a>0?(clearTimeout(C),C=setTimeout(()=>{!S&&e.readyState===v.OPEN&&t()},a)):t()}t()})})]}function O(e){if(q(e)&&(fe(e.code)||[U.InternalServerError,U.InternalClientError,U.BadRequest,U.BadResponse,U.Unauthorized,U.SubprotocolNotAcceptable,U.SubscriberAlreadyExists,U.TooManyInitialisationRequests].includes(e.code)))throw e;if(E)return!1;if(q(e)&&e.code===1e3)return S>0;if(!l||T>=l||!d(e))throw e;return w=!0}r||(async()=>{for(S++;;)try{let[,,e]=await D();await e}catch(e){try{if(!O(e))return}catch(e){return i?.(e)}}})();function k(e,t){let n=m(e),r=!1,i=!1,a=()=>{S--,r=!0};return(async()=>{for(S++;;)try{let[o,s,c]=await D();if(r)return c.catch(()=>{}),s();let l=y.onMessage(n,e=>{switch(e.type){case W.Next:t.next(e.payload);return;case W.Error:i=!0,r=!0,t.error(e.payload),a();return;case W.Complete:r=!0,a();return}});o.send(K({id:n,type:W.Subscribe,payload:e},h)),a=()=>{!r&&o.readyState===v.OPEN&&o.send(K({id:n,type:W.Complete},h)),S--,r=!0,s()},await c.finally(l);return}catch(e){if(!O(e))return}})().then(()=>{i||t.complete()}).catch(e=>{t.error(e)}),()=>{r||a()}}return{on:y.on,subscribe:k,iterate(e){let t=[],n={done:!1,error:null,resolve:()=>{}},r=k(e,{next(e){t.push(e),n.resolve()},error(e){n.done=!0,n.error=e,n.resolve()},complete(){n.done=!0,n.resolve()}}),i=async function*(){for(;;){for(t.length||await new Promise(e=>n.resolve=e);t.length;)yield t.shift();if(n.error)throw n.error;if(n.done)return}}();return i.throw=async e=>(n.done||(n.done=!0,n.error=e,n.resolve()),{done:!0,value:void 0}),i.return=async()=>(r(),{done:!0,value:void 0}),i},async dispose(){if(E=!0,x){let[e]=await x;e.close(1e3,`Normal Closure`)}},terminate(){x&&y.emit(`closed`,new de)}}}var de=class extends Error{name=`TerminatedCloseEvent`;message=`4499: Terminated`;code=4499;reason=`Terminated`;wasClean=!1};function q(e){return H(e)&&`code`in e&&`reason`in e}function fe(e){return![1e3,1001,1006,1005,1012,1013,1014].includes(e)&&e>=1e3&&e<=1999}function pe(e){return typeof e==`function`&&`constructor`in e&&`CLOSED`in e&&`CLOSING`in e&&`CONNECTING`in e&&`OPEN`in e}var me=5e3,he=1e4,ge=4e3,_e=class{#e={state:`connecting`,since:Date.now(),greeting:{},roundTrip:null};#t;#n=new Set;#r;#i=()=>{};constructor(e,t){let n,r=0;this.#t=ue({url:e,connectionParams:t,keepAlive:he,connectionAckWaitTimeout:me,lazyCloseTimeout:1e3,retryAttempts:1/0,shouldRetry:e=>!(J(e)&&e.code===ge),retryWait:e=>this.#o(P(e,this.#r)),on:{opened:()=>{r=performance.now()},connected:(e,t)=>{this.#a({state:`live`,since:Date.now(),greeting:t??{},roundTrip:performance.now()-r})},closed:e=>{clearTimeout(n),this.#r=J(e)?ve(e.reason):void 0,this.#e.state!==`reconnecting`&&this.#a({state:`reconnecting`,since:Date.now()})},ping:e=>{e||(r=performance.now(),n=setTimeout(()=>this.#t.terminate(),me))},pong:e=>{e&&(clearTimeout(n),this.#a({roundTrip:performance.now()-r}))}}}),globalThis.addEventListener?.(`online`,()=>this.#i())}subscribe=e=>(this.#n.add(e),()=>this.#n.delete(e));snapshot=()=>this.#e;follow(e,t,n,r){let i=!1,a=e=>{i||r(e),i=!0},o={query:e.toString(),get variables(){return t()}},s=this.#t.subscribe(o,{next:e=>{let{data:t,errors:r}=e;r?.[0]?a(A.from(r[0])):t&&!i&&n(t)},error:e=>a(ye(e)),complete:()=>a(new A(`UNAVAILABLE`,`The subscription ended`))});return()=>{i=!0,s()}}close(){this.#t.dispose()}#a(e){this.#e={...this.#e,...e};for(let e of this.#n)e()}#o(e){return new Promise(t=>{let n=setTimeout(t,e);this.#i=()=>{clearTimeout(n),t()}})}};function J(e){return typeof e==`object`&&!!e&&`code`in e&&`reason`in e}function ve(e){try{let t=JSON.parse(e).retryAfterMs;return typeof t==`number`?t:void 0}catch{return}}function ye(e){return Array.isArray(e)&&e[0]?A.from(e[0]):J(e)?e.code===ge?new A(`KICKED`,e.reason):new A(`INTERNAL`,e.reason||`The server closed the connection (${e.code})`):new A(`INTERNAL`,String(e))}var Y=`plan-dag-canvas`,be=100,xe=50,Se=1e3,Ce=4e3,we=class{#e;#t;kicked=null;#n=new Map;#r=new Set;#i=null;#a=0;#o=!1;#s;#c={position:null,selectedNodeId:null};#l;constructor(e,t){this.#e=e,this.#t=t}subscribe=e=>(this.#r.add(e),()=>this.#r.delete(e));snapshot=()=>this.#n;start(){this.#o=!1,this.kicked=null;let e=new WebSocket(this.#e);this.#i=e,e.onopen=()=>{this.#a=0;let{userId:e,name:t,color:n}=this.#t;this.#f(`join_session`,{userId:e,userName:t,avatarColor:n,documentId:Y})},e.onmessage=e=>this.#p(JSON.parse(String(e.data))),e.onclose=({code:t,reason:n})=>{this.#i===e&&(t===Ce&&(this.kicked=n),this.#h(new Map),!this.#o&&t!==Se&&t!==Ce&&(this.#s=setTimeout(()=>this.start(),P(this.#a++,ve(n)))))}}stop(){this.#o=!0,clearTimeout(this.#s),clearTimeout(this.#l),this.#i?.close()}move(e,t=null){this.#c={...this.#c,position:e,selectedNodeId:t},this.#u()}drag(e){let t=this.#c.dragging;this.#c={...this.#c,dragging:e&&{...e,nodeIds:e.nodeIds.slice(0,xe)}},e?this.#u():t&&this.#d()}#u(){this.#l??=setTimeout(()=>this.#d(),be)}#d(){clearTimeout(this.#l),this.#l=void 0;let{position:e,selectedNodeId:t,dragging:n}=this.#c;e&&this.#f(`cursor_update`,{documentId:Y,documentType:`canvas`,position:{type:`canvas`,x:e.x,y:e.y},timestamp:Date.now(),selectedNodeId:t,dragging:n})}#f(e,t){this.#i?.readyState===WebSocket.OPEN&&this.#i.send(JSON.stringify({type:e,data:t}))}#p({type:e,data:t}){if(e===`bulk_presence`)this.#h(new Map(t.filter(e=>this.#m(e)).map(e=>[e.userId,Te(e)])));else if(e===`user_presence`){let e=t,n=new Map(this.#n);this.#m(e)?n.set(e.userId,Te(e)):n.delete(e.userId),this.#h(n)}}#m(e){return e.isOnline&&e.userId!==this.#t.userId}#h(e){this.#n=e;for(let e of this.#r)e()}};function Te({userId:e,userName:t,avatarColor:n,isAgent:r,lastActive:i,documents:a}){let{position:o=null,selectedNodeId:s=null,dragging:c=null}=a[Y]??{};return{userId:e,name:t,color:n,isAgent:r,cursor:o&&{x:o.x,y:o.y},selectedNodeId:s,dragging:c,activeAt:Date.parse(i)}}var Ee=`layercake-window`,De=e=>`layercake-window-${e}`,Oe=500;async function ke(){let e=je()??F();await Me(e)||(e=F(),await Me(e));try{sessionStorage.setItem(Ee,e)}catch{}return e}async function Ae(){if(!Ne())return null;let e=De(``),{held:t=[]}=await navigator.locks.query();return new Set(t.flatMap(({name:t})=>t?.startsWith(e)?[t.slice(e.length)]:[]))}function je(){try{return sessionStorage.getItem(Ee)}catch{return null}}function Me(e){return Ne()?new Promise(t=>{navigator.locks.request(De(e),{signal:AbortSignal.timeout(Oe)},()=>(t(!0),new Promise(()=>{}))).catch(()=>t(!1))}):Promise.resolve(!0)}function Ne(){return typeof navigator<`u`&&`locks`in navigator}var Pe=class{clientId;name;#e;#t;#n;#r;#i;constructor({url:e,token:t,name:n},r,i){this.#e=e.replace(/\/$/,``),this.#t=t,this.name=n,this.clientId=r,this.#r=i,this.#n=te(`${this.#e}/graphql`,()=>({...this.#t?{authorization:`Bearer ${this.#t}`}:{},...this.name?{"x-layercake-name":encodeURIComponent(this.name.toWellFormed())}:{}}))}async request(e,t){return N(await this.#n(e,t))}plan(e){let t=new ie({projectId:e,clientId:this.clientId,journal:this.#r,post:this.#n,socket:this.socket,openWindows:Ae,now:()=>Date.now(),beforeFrame:Ie,delay:e=>new Promise(t=>setTimeout(t,e))});return t.start(),t}presence(e,t=`#3b82f6`){let n=new we(`${this.#a()}/ws/collaboration?project_id=${e}`,{userId:this.clientId,name:this.name??`Somebody`,color:t});return n.start(),n}close(){this.#i?.close()}get socket(){return this.#i??=new _e(`${this.#a()}/graphql/ws`,()=>({...this.#t?{token:this.#t}:{},...this.name?{name:this.name}:{}})),this.#i}#a(){return this.#e.replace(/^http/,`ws`)}};async function Fe(e){let[t,n]=await Promise.all([ke(),d()]);return new Pe(e,t,n)}function Ie(e){typeof requestAnimationFrame>`u`?setTimeout(e):requestAnimationFrame(e)}var X=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}},Le=new X(`
    query ProjectList($search: String!, $first: Int!, $after: String) {
  projectList(search: $search, first: $first, after: $after) {
    projects {
      id
      name
      description
      createdAt
      live {
        people
        agents
        planVersion
        lastChangeAt
        lastChangeBy
        changesLastHour
      }
    }
    next
  }
}
    `),Re=new X(`
    mutation CreateProject($input: CreateProjectInput!) {
  createProject(input: $input) {
    id
  }
}
    `),ze=new X(`
    query NodeTypes {
  nodeTypes {
    nodeType
    does
    minInputs
    maxInputs
    maxOutputs
    leadsTo
    configSchema
    example
  }
}
    `),Be=new X(`
    mutation UpdateProject($id: Int!, $input: UpdateProjectInput!) {
  updateProject(id: $id, input: $input) {
    id
  }
}
    `),Ve=new X(`
    mutation DeleteProject($id: ID!) {
  deleteProject(id: $id)
}
    `),He=`layercake-name`,Z={name:qe()??Je(),color:`#3b82f6`},Q=await Fe({url:location.origin,name:Z.name});Z.color=Ye(Q.clientId);var $=null;function Ue(e){return $?.id===e||(We(),$={id:e,plan:Q.plan(e),presence:Q.presence(e,Z.color)}),$}function We(){$?.plan.stop(),$?.presence.stop(),$=null}async function Ge(e){Q.name=e;try{await Q.request(`{ __typename }`,{})}catch(e){throw Q.name=Z.name,e}Z.name=e,Ke(e)}function Ke(e){try{localStorage.setItem(He,e)}catch{}}function qe(){try{return localStorage.getItem(He)}catch{return null}}function Je(){let e=e=>{let t=e.split(` `);return t[Math.floor(Math.random()*t.length)]},t=`${e(`Amber Azure Coral Ivory Jade Maroon Olive Scarlet Silver Violet`)} ${e(`Badger Falcon Heron Lynx Marten Otter Owl Raven Seal Stork`)}`;return Ke(t),t}function Ye(e){let t=[`#c2410c`,`#b91c1c`,`#a21caf`,`#6d28d9`,`#1d4ed8`,`#0e7490`,`#047857`,`#4d7c0f`],n=0;for(let t of e)n=(n*31+t.charCodeAt(0))%9973;return t[n%t.length]}var Xe=e((e=>{var t=Symbol.for(`react.transitional.element`),n=Symbol.for(`react.fragment`);function r(e,n,r){var i=null;if(r!==void 0&&(i=``+r),n.key!==void 0&&(i=``+n.key),`key`in n)for(var a in r={},n)a!==`key`&&(r[a]=n[a]);else r=n;return n=r.ref,{$$typeof:t,type:e,key:i,ref:n===void 0?null:n,props:r}}e.Fragment=n,e.jsx=r,e.jsxs=r})),Ze=e(((e,t)=>{t.exports=Xe()}));export{s as _,Ue as a,Ve as c,Be as d,A as f,c as g,l as h,Z as i,ze as l,u as m,We as n,Ge as o,F as p,Q as r,Re as s,Ze as t,Le as u,i as v,n as y};