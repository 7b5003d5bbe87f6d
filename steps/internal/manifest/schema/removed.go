package schema

// removal says in which release an API was removed, and what took its place.
type removal struct{ release, use string }

// removedBefore is the APIs that were gone before the oldest embedded version; later removals follow from the schemas.
var removedBefore = map[string]removal{
	"extensions/v1beta1 DaemonSet":         {"1.16", "apps/v1"},
	"extensions/v1beta1 Deployment":        {"1.16", "apps/v1"},
	"extensions/v1beta1 ReplicaSet":        {"1.16", "apps/v1"},
	"extensions/v1beta1 NetworkPolicy":     {"1.16", "networking.k8s.io/v1"},
	"extensions/v1beta1 PodSecurityPolicy": {"1.16", ""},
	"extensions/v1beta1 Ingress":           {"1.22", "networking.k8s.io/v1"},

	"apps/v1beta1 ControllerRevision": {"1.16", "apps/v1"},
	"apps/v1beta1 Deployment":         {"1.16", "apps/v1"},
	"apps/v1beta1 StatefulSet":        {"1.16", "apps/v1"},
	"apps/v1beta2 ControllerRevision": {"1.16", "apps/v1"},
	"apps/v1beta2 DaemonSet":          {"1.16", "apps/v1"},
	"apps/v1beta2 Deployment":         {"1.16", "apps/v1"},
	"apps/v1beta2 ReplicaSet":         {"1.16", "apps/v1"},
	"apps/v1beta2 StatefulSet":        {"1.16", "apps/v1"},

	"networking.k8s.io/v1beta1 Ingress":      {"1.22", "networking.k8s.io/v1"},
	"networking.k8s.io/v1beta1 IngressClass": {"1.22", "networking.k8s.io/v1"},

	"rbac.authorization.k8s.io/v1alpha1 ClusterRole":        {"1.22", "rbac.authorization.k8s.io/v1"},
	"rbac.authorization.k8s.io/v1alpha1 ClusterRoleBinding": {"1.22", "rbac.authorization.k8s.io/v1"},
	"rbac.authorization.k8s.io/v1alpha1 Role":               {"1.22", "rbac.authorization.k8s.io/v1"},
	"rbac.authorization.k8s.io/v1alpha1 RoleBinding":        {"1.22", "rbac.authorization.k8s.io/v1"},
	"rbac.authorization.k8s.io/v1beta1 ClusterRole":         {"1.22", "rbac.authorization.k8s.io/v1"},
	"rbac.authorization.k8s.io/v1beta1 ClusterRoleBinding":  {"1.22", "rbac.authorization.k8s.io/v1"},
	"rbac.authorization.k8s.io/v1beta1 Role":                {"1.22", "rbac.authorization.k8s.io/v1"},
	"rbac.authorization.k8s.io/v1beta1 RoleBinding":         {"1.22", "rbac.authorization.k8s.io/v1"},

	"admissionregistration.k8s.io/v1beta1 MutatingWebhookConfiguration":   {"1.22", "admissionregistration.k8s.io/v1"},
	"admissionregistration.k8s.io/v1beta1 ValidatingWebhookConfiguration": {"1.22", "admissionregistration.k8s.io/v1"},
	"apiextensions.k8s.io/v1beta1 CustomResourceDefinition":               {"1.22", "apiextensions.k8s.io/v1"},
	"apiregistration.k8s.io/v1beta1 APIService":                           {"1.22", "apiregistration.k8s.io/v1"},
	"certificates.k8s.io/v1beta1 CertificateSigningRequest":               {"1.22", "certificates.k8s.io/v1"},
	"coordination.k8s.io/v1beta1 Lease":                                   {"1.22", "coordination.k8s.io/v1"},
	"scheduling.k8s.io/v1alpha1 PriorityClass":                            {"1.22", "scheduling.k8s.io/v1"},
	"scheduling.k8s.io/v1beta1 PriorityClass":                             {"1.22", "scheduling.k8s.io/v1"},
	"storage.k8s.io/v1beta1 CSIDriver":                                    {"1.22", "storage.k8s.io/v1"},
	"storage.k8s.io/v1beta1 CSINode":                                      {"1.22", "storage.k8s.io/v1"},
	"storage.k8s.io/v1beta1 StorageClass":                                 {"1.22", "storage.k8s.io/v1"},
	"storage.k8s.io/v1beta1 VolumeAttachment":                             {"1.22", "storage.k8s.io/v1"},
	"batch/v2alpha1 CronJob":                                              {"1.21", "batch/v1"},
}
