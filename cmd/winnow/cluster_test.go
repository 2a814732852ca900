package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
	"gopkg.in/yaml.v3"
)

const (
	jobFile   = "../../examples/cluster/k8s-indexed-job.yaml"
	slurmFile = "../../examples/cluster/slurm-array.sh"
	guideFile = "../../docs/cluster.md"
)

// job has the fields of a batch/v1 Job that the example may use, as the API's
// reference spells them. Whatever else stands in the file is an error.
type job struct {
	APIVersion string            `yaml:"apiVersion"`
	Kind       string            `yaml:"kind"`
	Metadata   map[string]string `yaml:"metadata"`
	Spec       struct {
		CompletionMode          string `yaml:"completionMode"`
		Completions             int    `yaml:"completions"`
		Parallelism             int    `yaml:"parallelism"`
		BackoffLimitPerIndex    *int   `yaml:"backoffLimitPerIndex"`
		MaxFailedIndexes        *int   `yaml:"maxFailedIndexes"`
		ActiveDeadlineSeconds   *int   `yaml:"activeDeadlineSeconds"`
		TTLSecondsAfterFinished *int   `yaml:"ttlSecondsAfterFinished"`
		PodReplacementPolicy    string `yaml:"podReplacementPolicy"`
		PodFailurePolicy        struct {
			Rules []failureRule `yaml:"rules"`
		} `yaml:"podFailurePolicy"`
		Template struct {
			Spec struct {
				RestartPolicy                 string           `yaml:"restartPolicy"`
				TerminationGracePeriodSeconds int              `yaml:"terminationGracePeriodSeconds"`
				AutomountServiceAccountToken  *bool            `yaml:"automountServiceAccountToken"`
				Containers                    []container      `yaml:"containers"`
				Volumes                       []map[string]any `yaml:"volumes"`
			} `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

type failureRule struct {
	Action      string `yaml:"action"`
	OnExitCodes *struct {
		ContainerName string `yaml:"containerName"`
		Operator      string `yaml:"operator"`
		Values        []int  `yaml:"values"`
	} `yaml:"onExitCodes"`
	OnPodConditions []struct {
		Type   string `yaml:"type"`
		Status string `yaml:"status"`
	} `yaml:"onPodConditions"`
}

type container struct {
	Name       string   `yaml:"name"`
	Image      string   `yaml:"image"`
	WorkingDir string   `yaml:"workingDir"`
	Command    []string `yaml:"command"`
	Args       []string `yaml:"args"`
	Env        []struct {
		Name  string `yaml:"name"`
		Value string `yaml:"value"`
	} `yaml:"env"`
	Resources struct {
		Requests map[string]string `yaml:"requests"`
		Limits   map[string]string `yaml:"limits"`
	} `yaml:"resources"`
	VolumeMounts []struct {
		Name      string `yaml:"name"`
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

// readJob reads the example strictly: an unknown field is an error.
func readJob(t *testing.T) job {
	t.Helper()
	b, err := os.ReadFile(jobFile)
	if err != nil {
		t.Fatal(err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	var j job
	if err := dec.Decode(&j); err != nil {
		t.Fatal(err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Errorf("behind the first document: %v, want its end", err)
	}
	return j
}

// The Job is one that the API takes, and its shards are as many as its pods.
func TestKubernetesJob(t *testing.T) {
	j := readJob(t)
	pod := j.Spec.Template.Spec
	if j.APIVersion != "batch/v1" || j.Kind != "Job" || j.Metadata["name"] == "" || len(pod.Containers) != 1 {
		t.Fatalf("%+v is no Job with a name and one container", j)
	}
	c := pod.Containers[0]
	// What the API demands of each other's presence.
	if j.Spec.CompletionMode != "Indexed" || j.Spec.BackoffLimitPerIndex == nil || pod.RestartPolicy != "Never" || j.Spec.PodReplacementPolicy != "Failed" {
		t.Errorf("a limit for each index needs Indexed, a policy for failures needs Never and Failed: %+v", j.Spec)
	}
	actions := map[int]string{}
	for _, rule := range j.Spec.PodFailurePolicy.Rules {
		if !slices.Contains([]string{"FailJob", "FailIndex", "Ignore", "Count"}, rule.Action) || (rule.OnExitCodes == nil) == (rule.OnPodConditions == nil) {
			t.Errorf("rule %+v: want an action and one of two requirements", rule)
		}
		for _, on := range rule.OnPodConditions {
			if on.Type != "DisruptionTarget" || on.Status != "True" || rule.Action != "Ignore" {
				t.Errorf("rule %+v on a pod's condition", rule)
			}
		}
		if on := rule.OnExitCodes; on != nil {
			if on.ContainerName != c.Name || on.Operator != "In" || !slices.IsSorted(on.Values) || slices.Contains(on.Values, 0) {
				t.Errorf("rule on exit codes %+v: want the container %s and codes in order, none of them 0", *on, c.Name)
			}
			for _, code := range on.Values {
				actions[code] = rule.Action
			}
		}
	}
	for code, want := range map[int]string{
		exitFailed: "", exitUsage: "FailJob", exitUngraded: "", exitModel: "FailJob", exitJournal: "FailJob", exitLocked: "",
		exitSignalBase + int(syscall.SIGINT): "Ignore", exitSignalBase + int(syscall.SIGTERM): "Ignore", exitSignalBase + int(syscall.SIGKILL): "",
	} {
		if actions[code] != want {
			t.Errorf("exit code %d has the action %q, want %q", code, actions[code], want)
		}
	}
	shards := ""
	for _, e := range c.Env {
		if e.Name == "SHARDS" {
			shards = e.Value
		}
	}
	if shards != strconv.Itoa(j.Spec.Completions) || j.Spec.Parallelism > j.Spec.Completions {
		t.Errorf("%s shards for %d completions", shards, j.Spec.Completions)
	}
	if pod.TerminationGracePeriodSeconds < 10 {
		t.Errorf("%d s to finish a batch", pod.TerminationGracePeriodSeconds)
	}
	if len(pod.Volumes) != 1 || len(c.VolumeMounts) != 1 || pod.Volumes[0]["name"] != c.VolumeMounts[0].Name || c.WorkingDir != c.VolumeMounts[0].MountPath {
		t.Errorf("volumes %+v, mounts %+v, working in %s", pod.Volumes, c.VolumeMounts, c.WorkingDir)
	}
}

// stubs returns a folder of programs that are shell scripts.
func stubs(t *testing.T, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, script := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// scripted is a command that finds stubs before all other programs.
func scripted(dir string, env []string, name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir = dir
	c.Env = append(append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH")), env...)
	return c
}

// kubernetesScript is the example's script in its environment.
func kubernetesScript(t *testing.T, dir string, more ...string) *exec.Cmd {
	t.Helper()
	c := readJob(t).Spec.Template.Spec.Containers[0]
	env := append([]string{"JOB_COMPLETION_INDEX=2"}, more...)
	for _, e := range c.Env {
		env = append(env, e.Name+"="+e.Value)
	}
	return scripted(dir, env, c.Command[0], append(slices.Clone(c.Command[1:]), c.Args...)...)
}

func exitOf(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit == nil {
		return 0
	}
	return exit.ExitCode()
}

func logOf(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The pod's script ends with winnow's exit code, but for 3, and passes SIGTERM on.
func TestKubernetesScript(t *testing.T) {
	t.Parallel()
	for _, code := range []int{0, 1, 2, 3, 4, 5, 6, 130, 143} {
		dir := stubs(t, map[string]string{"winnow": `echo "$@" >log; exit ` + strconv.Itoa(code)})
		want := code
		if code == exitUngraded {
			want = 0
		}
		if got := exitOf(t, kubernetesScript(t, dir).Run()); got != want {
			t.Errorf("winnow ends with %d, the script with %d, want %d", code, got, want)
		}
		if got, want := logOf(t, dir), "grade data.jsonl -m model.gguf --shard 3/8 -o scores-3-of-8.jsonl\n"; got != want {
			t.Errorf("winnow is given %s, want %s", got, want)
		}
	}
	dir := stubs(t, map[string]string{"winnow": `trap 'sleep 0.2; exit 143' TERM; : >log; while :; do sleep 0.02; done`})
	c := kubernetesScript(t, dir)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "log")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			_ = c.Process.Kill() // the test fails below
			t.Fatal("the script did not start winnow")
		}
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := exitOf(t, c.Wait()); got != 143 {
		t.Errorf("after SIGTERM the script ends with %d, want winnow's 143", got)
	}
}

// The array's script requeues what was interrupted, cancels what cannot go well,
// and takes a run with ungraded records for done.
func TestSlurmScript(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command("bash", "-n", slurmFile).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	script, err := filepath.Abs(slurmFile)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(slurmFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n#SBATCH --array=1-8\n", "\nshards=8 ", "\n#SBATCH --requeue\n", "\n#SBATCH --signal=TERM@"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("%q is not in %s", want, slurmFile)
		}
	}
	const graded = "winnow grade my data.jsonl -m m.gguf --shard 3/8 -o scores-3-of-8.jsonl\n"
	for code, tc := range map[int]struct {
		want int
		log  string
	}{
		0: {0, ""}, 1: {1, ""}, 2: {2, "scancel 77\n"}, 3: {0, ""}, 4: {4, "scancel 77\n"}, 5: {5, "scancel 77\n"}, 6: {6, ""},
		130: {130, "scontrol requeue 77_3\n"}, 137: {137, ""}, 143: {143, "scontrol requeue 77_3\n"},
	} {
		dir := stubs(t, map[string]string{
			"srun": `exec "$@"`, "winnow": `echo winnow "$@" >>log; exit ` + strconv.Itoa(code),
			"scontrol": `echo scontrol "$@" >>log`, "scancel": `echo scancel "$@" >>log`,
		})
		c := scripted(dir, []string{"DATA=my data.jsonl", "MODEL=m.gguf", "SLURM_ARRAY_TASK_ID=3", "SLURM_ARRAY_JOB_ID=77"}, "bash", script)
		if got := exitOf(t, c.Run()); got != tc.want || logOf(t, dir) != graded+tc.log {
			t.Errorf("winnow ends with %d, the script with %d, want %d; what it did:\n%s", code, got, tc.want, logOf(t, dir))
		}
	}
}

// Every command and flag of winnow that stands in the files is there.
func TestClusterFlags(t *testing.T) {
	app := newApp(io.Discard, io.Discard)
	start := regexp.MustCompile(`\bwinnow (grade|filter|merge|journal|doctor|bench)\b.*`)
	for _, file := range []string{jobFile, slurmFile, guideFile} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := regexp.MustCompile(`\\\n\s*`).ReplaceAllString(string(b), "")
		commands := start.FindAllString(text, -1)
		if len(commands) < 2 {
			t.Errorf("%s: %d commands of winnow, want at least 2", file, len(commands))
		}
		for _, line := range commands {
			words := strings.Fields(line)[1:]
			for i, w := range words {
				words[i] = strings.Trim(w, "`'\".,;:()")
			}
			cmd := find(app.Commands, words[0])
			if len(words) > 1 && find(cmd.Subcommands, words[1]) != nil {
				cmd = find(cmd.Subcommands, words[1])
			}
			for _, w := range words {
				if !strings.HasPrefix(w, "-") || w == "-" {
					continue
				}
				name, _, _ := strings.Cut(strings.TrimLeft(w, "-"), "=")
				if !slices.ContainsFunc(cmd.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) }) {
					t.Errorf("%s: winnow %s has no flag %s: %s", file, cmd.Name, w, line)
				}
			}
		}
	}
}
