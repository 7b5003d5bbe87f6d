package agentimage_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// agentTemplate is what matters of the template of an agent, in Jenkins's words.
type agentTemplate struct {
	Name        string           `json:"name"`
	Label       string           `json:"label"`
	Namespace   string           `json:"namespace"`
	InheritFrom string           `json:"inheritFrom"`
	Containers  []agentContainer `json:"containers"`
}

type agentContainer struct {
	Name       string `json:"name"`
	Image      string `json:"image"`
	Command    string `json:"command"`
	Args       string `json:"args"`
	TTYEnabled bool   `json:"ttyEnabled"`
}

// The controller of KubeSphere 3.3 makes of the PodTemplate what is written by hand before.
func TestTheAgentIsTheSameInEveryKubeSphere(t *testing.T) {
	var casc struct {
		Jenkins struct {
			Clouds []struct {
				Kubernetes struct {
					Name      string          `json:"name"`
					Templates []agentTemplate `json:"templates"`
				} `json:"kubernetes"`
			} `json:"clouds"`
		} `json:"jenkins"`
	}
	decode(t, "kubesphere/casc.yaml", &casc)
	var podTemplate corev1.PodTemplate
	decode(t, "kubesphere/podtemplate.yaml", &podTemplate)

	if _, ok := podTemplate.Labels["jenkins.agent.pod"]; !ok {
		t.Error("the PodTemplate has not the label that the controller looks for")
	}
	converted := agentTemplate{
		Name:        podTemplate.Name,
		Label:       podTemplate.Name,
		Namespace:   podTemplate.Namespace,
		InheritFrom: podTemplate.Annotations["inherit.from"],
	}
	for _, c := range podTemplate.Template.Spec.Containers {
		converted.Containers = append(converted.Containers, agentContainer{
			Name: c.Name, Image: c.Image, Command: strings.Join(c.Command, " "), Args: strings.Join(c.Args, " "), TTYEnabled: true,
		})
	}
	if diff := cmp.Diff(casc.Jenkins.Clouds[0].Kubernetes.Templates, []agentTemplate{converted}); diff != "" {
		t.Errorf("the agents differ (-by hand +by the controller):\n%s", diff)
	}
}

func decode(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
