// Package operate does what operators ask of a replica.
//
// They ask in SQL: a row of the table commands is an order (Commander), and a row of the view layercake.health answers a question
// (Diagnosis). What they need not ask for each time is the removal of what is too old (Cleaner).
package operate
