package layered

// Version is the version of the engine. It steps when the same inputs and settings can give another result than before: another
// element, value, order or hash. What was built by another version counts as stale then. It does not step for other messages, notes or speed.
const Version = 1
