package operate

// TrimProjectOperations is one job of the clean-up.
var TrimProjectOperations = (*Cleaner).trimProjectOperations

// Jobs of the clean-up on what is stored.
var (
	TrimContents = (*Cleaner).trimContents
	TrimFiles    = (*Cleaner).trimFiles
	TrimBuilds   = (*Cleaner).trimBuilds

	MeasureStorage = (*Cleaner).measureStorage
)
