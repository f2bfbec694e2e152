package mcpserver

import "time"

// ShortenAnswerTime makes nobody wait long for a person who does not answer. Call it before anything runs.
func ShortenAnswerTime() { answerTime = 5 * time.Second }
