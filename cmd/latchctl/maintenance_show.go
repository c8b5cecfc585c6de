package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/spf13/cobra"

	"latchd/iothub"
	"latchd/iothub/service"
)

func (p *program) maintenanceShow() *cobra.Command {
	var where string
	cmd := &cobra.Command{
		Use:   "show {DEVICE | --where CONDITION}",
		Short: "show the policy in force, the next openings and what waits for them",
		Long: "Show tells of one device what it made of its maintenance policy, what is in\n" +
			"force, whether it is open, when it opens next and which operations wait for\n" +
			"that. Of many it tells in a line each which version they answered and how.",
		Example: `  latchctl maintenance show front-door
  latchctl maintenance show --where "tags.site = 'lab'"`,
		Args: arguments("[DEVICE]"),
	}
	cmd.Flags().StringVar(&where, "where", "", "many devices: a condition of the query language, or '*' for all")
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		device, err := oneOrMany(args, where)
		if err != nil {
			return err
		}
		if device != "" {
			return p.showMaintenance(ctx, device)
		}
		condition, err := service.CheckCondition(where)
		if err != nil {
			return usagef("--where: %w", err)
		}
		return p.showMaintenanceOfMany(ctx, condition)
	})
	return cmd
}

func (p *program) showMaintenance(ctx context.Context, device string) error {
	hub, err := p.connect()
	if err != nil {
		return err
	}
	defer hub.Close()
	twin, err := hub.Twin(ctx, device)
	if err != nil {
		return err
	}
	return p.printMaintenance(maintenanceOf(twin))
}

func (p *program) showMaintenanceOfMany(ctx context.Context, condition string) error {
	hub, err := p.connect()
	if err != nil {
		return err
	}
	defer hub.Close()
	answers, err := readAnswers(ctx, hub, condition, nil)
	if no, ok := errors.AsType[*iothub.Error](err); ok && no.Status() == http.StatusBadRequest {
		return explainCondition(err)
	}
	if err != nil {
		return err
	}
	if len(answers) == 0 {
		return &nobodyError{condition}
	}
	return p.printAnswers(fleetView{fleetSum: sumOf(answers), Devices: answers}, answers)
}
