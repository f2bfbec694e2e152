// Package operate does what operators ask of a replica.
//
// Operators ask in SQL. A row of the table commands is an order, which the Commander carries out. A row of the view layercake.health is
// an answer, which Diagnosis brings to /health?verbose of the admin address and to layercake doctor. Old rows are removed without being
// asked for, by the Cleaner.
package operate
