module slipway/e2e

go 1.26.0

require (
	golang.org/x/sync v0.22.0
	golang.org/x/sys v0.47.0
	sigs.k8s.io/yaml v1.5.0
	slipway v0.0.0
)

require (
	go.yaml.in/yaml/v2 v2.4.2 // indirect
	golang.org/x/crypto v0.56.0 // indirect
)

replace slipway => ../
