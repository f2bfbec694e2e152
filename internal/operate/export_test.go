package operate

// TrimProjectOperations is one job of the clean-up.
var TrimProjectOperations = (*Cleaner).trimProjectOperations
