package azure

import (
	"errors"

	"github.com/prometheus/prometheus/discovery"
)

// SDConfig is refused where a configuration has one: this program was built without it.
type SDConfig struct {
	discovery.Config
}

// UnmarshalYAML says so.
func (*SDConfig) UnmarshalYAML(func(any) error) error {
	return errors.New("built without Azure")
}
