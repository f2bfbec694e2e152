// Package replica is one incarnation of this process in the deployment.
//
//	begin ─> renew each second ─> ... ─> give back
//	            │ the lease is gone: begin again, under another id; OnBegin writes anew what is held
//	            └ renewed five times in a row, in time: look for leases that expired, OnDeath removes what was held under them
//
// An incarnation has a lease in the table replicas, renewed each second and expired after five by the clock of the database. What tenants
// write under it (presence: who is connected) refers to the lease and ends with it. A replica that finds its lease gone begins another
// incarnation, under a new id. Late writes under the former id fail, because they refer to a lease that is not there.
//
// A replica removes another one that died only while it is steady: its own last renewals all succeeded in time. An expired lease alone is
// no proof of a death. While a database stalls, all leases expire, also those of replicas that live. That is safe because nobody is steady
// then either: when the database answers again, becoming steady takes several renewals, and until then every replica that lives has renewed
// its lease.
//
// All leases also expire at once when the clock of the database steps, or when a machine with the whole deployment was suspended. No
// renewal fails then. So a replica whose own lease has expired removes nobody, and is no longer steady once it has renewed that lease.
//
// To remove a replica, its lease is locked first; one that is locked already is skipped, because somebody renews or removes it at that
// moment. The lease and what was held under it go in one transaction, so one replica removes all of it, or nobody any of it.
//
// The lease also carries figures of the replica, for people who read the table, and the wire version of its binary: what the oldest living
// replica would misread is not written (Oldest).
package replica
