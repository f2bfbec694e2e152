package operate

// Jobs of the clean-up on operation ids.
var (
	TrimProjectOperations = (*Cleaner).trimProjectOperations
	TrimOperations        = (*Cleaner).trimOperations
)

// Jobs of the clean-up on what is stored.
var (
	TrimContents = (*Cleaner).trimContents
	TrimFiles    = (*Cleaner).trimFiles
	TrimBuilds   = (*Cleaner).trimBuilds

	MeasureStorage = (*Cleaner).measureStorage
)
