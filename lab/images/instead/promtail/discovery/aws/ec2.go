package aws

import (
	"errors"

	"github.com/prometheus/prometheus/discovery"
)

// EC2SDConfig is refused where a configuration has one: this program was built without it.
type EC2SDConfig struct {
	discovery.Config
}

// UnmarshalYAML says so.
func (*EC2SDConfig) UnmarshalYAML(func(any) error) error {
	return errors.New("built without EC2")
}
