package storagebench

import "plimsoll/storagebench/tree"

// Change is a path, absolute inside the root, whose file a clone has otherwise
// than the image.
//
// All backends answer alike. A path is changed when what can be seen at it
// differs: type, mode, owner, size, content, target of a link, device number
// or extended attributes. Times are not looked at, nor which names are links to one file.
// A file that was written with what it held is not changed, and a directory
// not by what it holds. A deletion is listed once, by the topmost path that is
// gone; everything below a new directory is listed. A directory in whose place
// stands something else is modified, what it held goes unsaid.
type Change = tree.Change
