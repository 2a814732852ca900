#!/usr/bin/env bash
# Grades one data file in eight shards, an array task each. docs/cluster.md
# explains it.
#
#   job=$(DATA=data.jsonl MODEL=model.gguf sbatch --parsable slurm-array.sh)
#   sbatch --dependency=afterok:"$job" --wrap 'winnow merge scores-*-of-8.jsonl -o scores.jsonl'
#
#SBATCH --job-name=winnow
#SBATCH --array=1-8
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@120
#SBATCH --open-mode=append
#SBATCH --output=winnow-%A_%a.log
set -u

shards=8 # as in --array; a part of the array, such as --array=3, is still of 8
shard=$SLURM_ARRAY_TASK_ID

# Two minutes before the time is up winnow gets SIGTERM, finishes its batch and
# ends with 143.
srun winnow grade "${DATA:?data file}" -m "${MODEL:?model file}" --shard "$shard/$shards" \
    -o "scores-$shard-of-$shards.jsonl"
code=$?

case $code in
3) # done, but some records have no rating: a result
    exit 0
    ;;
130 | 143) # interrupted: goes on where it stopped. scancel ends this script too.
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$shard"
    ;;
2 | 4 | 5) # usage, model or device, damaged or mismatching scores file: so for all shards
    scancel "$SLURM_ARRAY_JOB_ID"
    ;;
esac
exit "$code"
