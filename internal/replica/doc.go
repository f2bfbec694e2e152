// Package replica is one incarnation of this process in the deployment.
//
//	begin ─> renew each second ─> ... ─> give back
//	            │ the lease is gone: begin again, under another id; OnBegin writes anew what is held
//	            └ renewed five times in a row, in time: look for leases that expired, OnDeath removes what was held under them
//
// An incarnation has a lease in the table replicas, renewed each second and expired after five by the clock of the database. What tenants
// write under it (presence: who is connected) refers to the lease and ends with it. A replica that finds its lease gone begins another
// incarnation, under an id of its own: a late word of the former one changes nothing.
//
// A replica removes others that died only when its own last renewals succeeded in time. That is safe where the clock is not: while a
// database stalls, all leases expire, and nobody renewed in time; when it goes on, all renew theirs before anybody is steady again.
// The lease is locked first, and whoever renews or removes it at this moment is let alone. Removing it and what was held under it is one
// transaction, so one replica does it, and all of it.
//
// The lease also carries figures of the replica, for people who look at the table, and the wire version of its binary: what the oldest
// among the living would misread is not written (Oldest).
package replica
