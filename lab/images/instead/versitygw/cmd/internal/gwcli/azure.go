package gwcli

import (
	"errors"

	"github.com/urfave/cli/v2"
)

// AzureCommand returns a command that refuses: this program was built without Azure.
func AzureCommand() *cli.Command {
	return &cli.Command{
		Name:   "azure",
		Hidden: true,
		Action: func(*cli.Context) error { return errors.New("built without Azure") },
	}
}
