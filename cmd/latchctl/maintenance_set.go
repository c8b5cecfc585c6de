package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (p *program) maintenanceSet() *cobra.Command {
	var (
		flags answerFlags
		file  string
	)
	cmd := &cobra.Command{
		Use:   "set {DEVICE | --where CONDITION} --file FILE",
		Short: "give one device or many a maintenance policy",
		Long: "Set checks the policy as the devices will, sends it and waits for what they say\n" +
			"to it. It replaces the policy that was there as a whole. One device is told by\n" +
			"its twin, many by a job; then those whom it told are asked who accepted it, who\n" +
			"refused it and why, and who has not answered yet. See it first with\n" +
			"`maintenance preview`.\n\n" +
			"FILE holds the value of the desired property maintenance, as\n" +
			`  {"timeZone":"Europe/Berlin",` + "\n" +
			`   "windows":[{"name":"night","days":["mon","tue"],"start":"02:30","duration":"2h"}],` + "\n" +
			`   "exclusions":[{"from":"2026-12-24","to":"2026-12-26"}]}` + "\n\n" +
			"Exit code 3 says that the condition matches no device, 5 that a device refused\n" +
			"it, 6 that one has not answered in time or that somebody else changed it.",
		Example: `  latchctl maintenance set front-door --file windows.json
  latchctl maintenance set --where "tags.site = 'lab'" --file windows.json`,
		Args: arguments("[DEVICE]"),
	}
	flags.bind(cmd)
	bindPolicyFile(cmd, &file)
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		device, err := flags.device(cmd, args)
		if err != nil {
			return err
		}
		policy, _, err := p.policyFile(file, "")
		if err != nil {
			return err
		}
		return p.changeMaintenance(ctx, device, policy, flags)
	})
	return cmd
}

func bindPolicyFile(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "file", "f", "", "file of the policy, JSON; - for stdin")
	_ = cmd.MarkFlagRequired("file")
}
