// Package hostile attacks a deployment of its own and judges what honest clients notice.
//
// It runs two replicas as processes with little memory over a PostgreSQL of their own. Each attack is bounded in number and time, speaks
// what anybody can speak (the public wires, SQL as a role with nothing but CONNECT, a plan file), and comes beside a light honest
// load: people who edit a plan, watch it, and see each other's cursors. The attack has failed when they notice nothing and the replicas
// stay within their limits.
package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"time"

	"layercake/internal/bench"
	"layercake/internal/bench/deployment"

	"github.com/jackc/pgx/v5"
)

// Config is the choice of attacks.
type Config struct {
	Layercake func(args ...string) *exec.Cmd // the command line of the product: it serves, migrates and runs plan files
	Binaries  string                         // folder of PostgreSQL's programs; "" to look for them
	Attacks   []string                       // names of attacks; none for all
	Duration  time.Duration                  // limit of each attack
	Seed      uint64
	Progress  io.Writer // receiver of a line for each attack; nil for none
}

const (
	replicas = 2
	memory   = "400MiB" // limit that replicas are told, below the one that they are judged by
	// perAddress is the limit of sockets of an address, small enough to be met.
	perAddress = 500
)

// Check reports everything that is wrong at once.
func (c Config) Check() error {
	var errs []error
	for _, name := range c.Attacks {
		if !slices.ContainsFunc(attacks, func(a attack) bool { return a.name == name }) {
			errs = append(errs, fmt.Errorf("attack is %q: these are known: %s", name, strings.Join(AttackNames(), ", ")))
		}
	}
	if c.Duration < 100*time.Millisecond || c.Duration > time.Minute {
		errs = append(errs, fmt.Errorf("duration is %v: it is from 100ms to 1m", c.Duration))
	}
	return errors.Join(errs...)
}

// AttackNames lists the attacks that Run can do, in its order.
func AttackNames() []string {
	names := make([]string, len(attacks))
	for i, a := range attacks {
		names[i] = a.name
	}
	return names
}

// List writes what each attack does, for people.
func List(w io.Writer) error {
	for _, a := range attacks {
		if _, err := fmt.Fprintf(w, "%-22s %-4s %s\n", a.name, a.threat, a.summary); err != nil {
			return err
		}
	}
	return nil
}

// Run attacks a deployment in one way after the other, all of them whatever becomes of it, and judges each. It ends earlier when ctx
// does, with what it has, and leaves nothing running. The error says why there is no more, or that an attack succeeded.
func Run(ctx context.Context, cfg Config) (Result, error) {
	result := Result{Seed: cfg.Seed, Replicas: replicas}
	if err := cfg.Check(); err != nil {
		return result, err
	}
	of := deployment.Config{Replicas: replicas, Serve: func() *exec.Cmd { return cfg.Layercake("serve") }, Binaries: cfg.Binaries}
	err := deployment.Run(ctx, of, func(ctx context.Context, d *deployment.Deployment) error {
		h := &hostile{cfg: cfg, deployment: d, began: time.Now()}
		if err := h.prepare(ctx); err != nil {
			return err
		}
		quiet, err := h.round(ctx, quietTime)
		if err != nil {
			return fmt.Errorf("nothing attacks: %w", err)
		}
		quiet.judge(quiet.P99)
		result.Rows = append(result.Rows, quiet)
		h.quiet = quiet
		for _, a := range attacks {
			if ctx.Err() != nil || len(cfg.Attacks) > 0 && !slices.Contains(cfg.Attacks, a.name) {
				continue
			}
			row := h.attack(ctx, a)
			result.Rows = append(result.Rows, row)
			h.say("%s: %s", a.name, row.verdict())
		}
		if !result.OK() {
			return errors.New("an attack succeeded") // keeps the log
		}
		return nil
	})
	return result, err
}

// quietTime is the round in which nothing attacks, to compare the others with.
var quietTime = attack{
	name: "quiet", threat: "-", summary: "nothing attacks",
	do: func(a *assault, ctx context.Context) error {
		a.sent("quiet")
		<-ctx.Done()
		return nil
	},
}

// hostile is a run over all attacks.
type hostile struct {
	cfg        Config
	deployment *deployment.Deployment
	stranger   string // URL of the database as a role with nothing but CONNECT
	monitor    string // the same, as a role that may also look at what the server does
	reader     string // the same, as a role that grant_reader let in
	quiet      Row
	began      time.Time
}

// say writes a line of progress.
func (h *hostile) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	h.deployment.Log.Info("hostile", "says", line)
	if h.cfg.Progress != nil {
		_, _ = fmt.Fprintf(h.cfg.Progress, "%6.1fs  %s\n", time.Since(h.began).Seconds(), line)
	}
}

// prepare makes the roles of strangers, and gives the replicas their limits.
func (h *hostile) prepare(ctx context.Context) error {
	err := h.deployment.Query(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `CREATE ROLE stranger LOGIN; CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
			CREATE ROLE reader LOGIN; SELECT layercake.grant_reader('reader')`)
		return err
	})
	if err != nil {
		return fmt.Errorf("make roles for strangers: %w", err)
	}
	for role, into := range map[string]*string{"stranger": &h.stranger, "monitor": &h.monitor, "reader": &h.reader} {
		u, err := url.Parse(h.deployment.Server().URL())
		if err != nil {
			return err
		}
		q := u.Query()
		q.Set("user", role) // it overrules a user elsewhere in the URL
		u.RawQuery = q.Encode()
		*into = u.String()
	}
	return h.deployment.Configure(ctx, []string{
		"GOMEMLIMIT=" + memory, "LAYERCAKE_LOG_LEVEL=info", fmt.Sprintf("LAYERCAKE_SOCKETS_PER_ADDRESS=%d", perAddress),
		fmt.Sprintf("LAYERCAKE_GUESTS_PER_ADDRESS=%d", guestsPerAddress),
	})
}

const (
	roundLasts   = 800 * time.Millisecond // least time of a round, for the honest load to say something
	coolDown     = 400 * time.Millisecond // time after an attack that still counts: its work has to end with its client
	stopPatience = 2 * time.Second        // for a replica to stop in order, before the next round
	warmRSS      = 160 << 20              // memory over which a replica is replaced before the next round
	busyTime     = 50 * time.Millisecond  // for seeing whether a replica still works for somebody who has gone
)

// round lets honest people work, attacks beside them, and returns what both noticed.
func (h *hostile) round(ctx context.Context, a attack) (Row, error) {
	row := Row{Attack: a.name, Threat: a.threat, Alone: a.alone}
	if err := h.refresh(ctx); err != nil {
		return row, err
	}
	deaths, logged := len(h.deaths()), h.deployment.Errors()
	against := h.assault(a)
	defer against.end()
	if !a.alone {
		people, err := meet(ctx, h.deployment, h.cfg.Seed)
		if err != nil {
			return row, fmt.Errorf("the honest load: %w", err)
		}
		defer people.leave(ctx)
		against.honest = people
	}
	if a.prepare != nil {
		if err := a.prepare(against, ctx); err != nil {
			return row, fmt.Errorf("prepare: %w", err)
		}
	}
	gauge := newGauge(h.deployment.Replicas)
	began := time.Now()
	h.assail(ctx, a, against)
	row.Seconds = time.Since(began).Seconds()
	used := gauge.read()
	against.end()
	if !a.alone {
		row.judgeOf(against.honest.judge(ctx))
	}
	for _, r := range h.deployment.Replicas {
		if a.alone && !r.Healthy(ctx) {
			row.Unhealthy++
		}
	}
	row.attackOf(against)
	row.usageOf(used, h.quiet)
	row.Wrong = append(row.Wrong, h.deaths()[deaths:]...)
	row.Logged = h.deployment.Errors() - logged
	return row, nil
}

// assault returns what an attack needs.
func (h *hostile) assault(a attack) *assault {
	return &assault{
		urls: h.deployment.URLs(), admins: h.deployment.Admins(), stranger: h.stranger, monitor: h.monitor, reader: h.reader,
		database: h.deployment.Server().URL(), layercake: h.cfg.Layercake, answers: map[string]int64{},
		rand: rand.New(rand.NewPCG(h.cfg.Seed, uint64(slices.Index(AttackNames(), a.name)+1))),
	}
}

// assail attacks while honest people work, and lets them go on for a while.
func (h *hostile) assail(ctx context.Context, a attack, against *assault) {
	began := time.Now()
	if !a.alone {
		against.honest.work(ctx)
	}
	attacking, enough := context.WithTimeout(ctx, max(h.cfg.Duration, a.lasts))
	err := a.do(against, attacking)
	enough()
	if ctx.Err() == nil && err != nil && !errors.Is(err, context.DeadlineExceeded) {
		against.wrong("the attack broke off: %v", err)
	}
	if !a.alone {
		_ = bench.Wait(ctx, max(coolDown, roundLasts-time.Since(began))) // the caller looks at ctx
	}
}

// attack attacks and judges. What only took honest people longer is done up to twice more, each time after another quiet round: on a
// machine that does other things, too, it may have been those.
func (h *hostile) attack(ctx context.Context, a attack) Row {
	row := h.judged(ctx, a, h.quiet.P99)
	for try := 0; try < 2 && row.onlySlow() && ctx.Err() == nil; try++ {
		h.say("%s: once more, since %s", a.name, row.Failures[0])
		quiet := h.judged(ctx, quietTime, 0)
		row = h.judged(ctx, a, max(h.quiet.P99, quiet.P99))
	}
	return row
}

// judged attacks once, and compares with an honest p99 without an attack.
func (h *hostile) judged(ctx context.Context, a attack, quiet float64) Row {
	row, err := h.round(ctx, a)
	if err != nil && ctx.Err() == nil {
		row.Wrong = append(row.Wrong, err.Error())
	}
	row.judge(quiet)
	return row
}

// refresh replaces the replicas that the last attack has left in a bad state, so that each attack answers for itself alone.
func (h *hostile) refresh(ctx context.Context) error {
	replicas := h.deployment.Replicas
	before := make([]deployment.Usage, len(replicas))
	for i, r := range replicas {
		before[i], _ = deployment.ReadUsage(r.PID()) // one that is away is looked at below
	}
	_ = bench.Wait(ctx, busyTime) // the next one looks at ctx
	for i, r := range replicas {
		now, err := deployment.ReadUsage(r.PID())
		busy := now.CPU-before[i].CPU > busyTime/2
		if err == nil && !busy && now.RSS < warmRSS && r.Healthy(ctx) {
			continue
		}
		if err := r.Restart(ctx, stopPatience); err != nil {
			return err
		}
	}
	return nil
}

// deaths returns the deaths of replicas so far.
func (h *hostile) deaths() (all []string) {
	for _, r := range h.deployment.Replicas {
		all = append(all, r.Died()...)
	}
	return all
}

// from is the address that attackers come from: another one than that of honest people, who would share its limits otherwise.
var from = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
