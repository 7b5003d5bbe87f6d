package lint_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/manifest/lint"
)

type place struct {
	Object     int
	Rule, Path string
}

func places(findings []lint.Finding) []place {
	var list []place
	for _, f := range findings {
		list = append(list, place{f.Object, f.Rule, f.Path})
	}
	return list
}

func TestObjectsThatBelongTogetherAreComparedWithEachOther(t *testing.T) {
	t.Parallel()
	secret := []string{"metadata.namespace", "shop"}
	for name, test := range map[string]struct {
		objects []map[string]any
		want    []place
	}{
		"a service, its pods, its secret and its ingress agree": {
			objects: []map[string]any{object(t, "deployment"), object(t, "service"), object(t, "ingress"), object(t, "secret", secret...)},
		},
		"two objects have one name": {
			objects: []map[string]any{object(t, "deployment"), object(t, "deployment")},
			want:    []place{{1, "duplicate-object", "metadata.name"}},
		},
		"the same name in another namespace is another object": {
			objects: []map[string]any{object(t, "deployment"), object(t, "deployment", "metadata.namespace", "test")},
		},
		"a service sends to a port that its pods do not name": {
			objects: []map[string]any{object(t, "deployment"), object(t, "service", "spec.ports[0].targetPort", "web")},
			want:    []place{{1, "reference", "spec.ports[0].targetPort"}},
		},
		"a service without pods here is nobody's finding": {
			objects: []map[string]any{object(t, "service", "spec.ports[0].targetPort", "web")},
		},
		"an ingress sends to a port that the service has not": {
			objects: []map[string]any{object(t, "service", "spec.ports[0].name", "web"), object(t, "ingress")},
			want:    []place{{1, "reference", "spec.rules[0].http.paths[0].backend.service.port"}},
		},
		"a pod reads a key that the secret has not": {
			objects: []map[string]any{object(t, "secret", "metadata.namespace", "shop", "data", "{pass: eA==}"), object(t, "deployment")},
			want:    []place{{1, "reference", container + ".env[1].valueFrom.secretKeyRef.key"}},
		},
		"findings of single objects say which one": {
			objects: []map[string]any{object(t, "namespace"), object(t, "service", "spec.ports[0].port", "0")},
			want:    []place{{1, "port", "spec.ports[0].port"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, places(lint.CheckAll(test.objects))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFieldsThatCannotChangeAreFound(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, path, value, at string }{
		{"deployment", "spec.selector.matchLabels.tier", "web", "spec.selector"},
		{"daemonset", "spec.selector.matchLabels.app", "b", "spec.selector"},
		{"replicaset", "spec.selector.matchExpressions[0].values[0]", "b", "spec.selector"},
		{"job", container + ".image", "b", "spec.template"},
		{"pvc", "spec.accessModes[0]", "ReadWriteOnce", "spec.accessModes"},
		{"pvc", "spec.storageClassName", "fast", ""},
		{"pvc", "spec.resources.requests.storage", "4Gi", ""},
		{"service", "spec.clusterIP", "None", ""},
		{"statefulset", "spec.serviceName", "other", ""},
		{"statefulset", "spec.volumeClaimTemplates[0].spec.resources.requests.storage", "20Gi", "spec.volumeClaimTemplates"},
		{"statefulset", "spec.podManagementPolicy", "Parallel", ""},
		{"secret", "type", "kubernetes.io/tls", ""},
		{"rolebinding", "roleRef.name", "other", "roleRef"},
		{"storageclass", "provisioner", "other.example.com", ""},
	} {
		at := test.at
		if at == "" {
			at = test.path
		}
		found := lint.Immutable(object(t, test.name), object(t, test.name, test.path, test.value))
		if diff := cmp.Diff([]place{{0, "immutable", at}}, places(found)); diff != "" {
			t.Errorf("%s %s: %s", test.name, test.path, diff)
		}
	}
	sealed := object(t, "configmap", "immutable", "true")
	found := lint.Immutable(sealed, object(t, "configmap", "immutable", "true", "data.FLAG", `"false"`))
	if diff := cmp.Diff([]place{{0, "immutable", "data"}}, places(found)); diff != "" {
		t.Error(diff)
	}
}

func TestFieldsThatMayChangeAreLeftAlone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, path, value string }{
		{"deployment", container + ".image", "registry.example/shop/orders-api:2"},
		{"deployment", "spec.selector.matchExpressions", "[]"},
		{"statefulset", "spec.replicas", "5"},
		{"statefulset", "spec.podManagementPolicy", "OrderedReady"},
		{"service", "spec.clusterIP", "10.96.0.10"},
		{"service", "spec.type", "NodePort"},
		{"pvc", "spec.resources.requests.storage", "6Gi"},
		{"pvc", "spec.volumeName", "pv-1"},
		{"configmap", "data.FLAG", `"false"`},
		{"cronjob", "spec.jobTemplate.spec.template.spec.containers[0].image", "b"},
	} {
		if found := lint.Immutable(object(t, test.name), object(t, test.name, test.path, test.value)); len(found) > 0 {
			t.Errorf("%s %s: %+v", test.name, test.path, found)
		}
	}
}
