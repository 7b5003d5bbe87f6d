package approval

// Name is how a record is called in a store.
var Name = name
