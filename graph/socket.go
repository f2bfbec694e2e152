package graph

var closeReasons []string
