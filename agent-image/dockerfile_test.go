package agentimage_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Docker takes a name without a registry for one of Docker Hub. Buildah and Podman refuse it, as Debian installs them.
func TestImagesAreNamedWithTheirRegistry(t *testing.T) {
	dockerfile, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	images := regexp.MustCompile(`(?m)^ARG \w+=(\S+:\S+)$`).FindAllStringSubmatch(string(dockerfile), -1)
	if len(images) != 2 {
		t.Errorf("%d images have defaults, not the base and the toolchain: %q", len(images), images)
	}
	for _, image := range images {
		if registry, _, _ := strings.Cut(image[1], "/"); !strings.Contains(registry, ".") {
			t.Errorf("%s names no registry", image[1])
		}
	}
}
