// Package plan is the plan DAG: its rules, its versions, and how it changes and is watched.
package plan
