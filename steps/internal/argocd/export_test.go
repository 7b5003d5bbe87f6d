package argocd

// KeyOf tells operations from each other, as Progress.Repeated does.
func KeyOf(s *OperationState) string { return s.key() }

// Passes says whether an operation that has ended as Error is started again.
var Passes = passes
