// Package manifest builds kustomizations and judges what they render. It is the only package that imports kustomize.
//
// A build reads files from a Source and nothing else: no request is made, no process is started, nothing outside of the
// repository is read, and time, bytes and nodes are bounded. Whatever a kustomization asks for beyond that is refused
// before kustomize sees it.
package manifest
