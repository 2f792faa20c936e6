"""The services that resource control policies apply to (rules E-16, N-10).

Both lists follow AWS's documentation. `AWS` has the service prefixes of the SDK's models (signing names and endpoint
prefixes); every other prefix belongs to an application, and RCPs always apply to it.
"""

from __future__ import annotations

RCP_SUPPORTED = frozenset(
    """
    aoss appconfig appstream autoscaling autoscaling-plans budgets clouddirectory cloudfront cloudsearch
    cloudtrail-data codeartifact codebuild codecommit codepipeline cognito-identity cognito-idp comprehend
    comprehendmedical compute-optimizer cost-optimization-hub dax dsql dynamodb ecr ecr-public events firehose
    fis fms gamelift health inspector-scan kendra kinesisvideo kms logs memorydb networkmonitor notifications
    opensearch pca-connector-ad personalize polly pricing resource-groups rolesanywhere s3 secretsmanager
    servicediscovery signin sqs sts support swf textract timestream-influxdb transcribe transfer translate wafv2
    workspaces xray
    """.split()
)

AWS = frozenset(
    """
    a2i-runtime.sagemaker abuse access-analyzer account account-access account-access-runtime acm acm-pca
    aco-automation admin.wickr agent-discovery agent-registry agent-registry-control agreement-marketplace
    aidevops aiops airflow airflow-serverless amplify amplifybackend amplifyuibuilder aoss api.detective api.ecr
    api.ecr-public api.iotdeviceadvisor api.iotmanagedintegrations api.iotwireless api.mediatailor api.pricing
    api.sagemaker api.tunneling.iot apigateway apiportal app-integrations appconfig appconfigdata appfabric
    appflow application-autoscaling application-cost-profiler application-signals applicationinsights appmesh
    apprunner appstream appstream2 appsync aps arc-region-switch arc-zonal-shift artifact athena auditmanager
    autoscaling autoscaling-plans aws-marketplace awsssoportal b2bi backup backup-gateway backup-search batch
    bcm-dashboards bcm-data-exports bcm-pricing-calculator bcm-recommended-actions bedrock bedrock-agent
    bedrock-agent-runtime bedrock-agentcore bedrock-agentcore-control bedrock-data-automation
    bedrock-data-automation-runtime bedrock-runtime billing billingconductor braket budgets cases cassandra
    cassandra-streams catalog.marketplace ce chatbot chime cleanrooms cleanrooms-ml cloud9 cloudcontrolapi
    clouddirectory cloudformation cloudfront cloudfront-keyvaluestore cloudhsm cloudhsmv2 cloudsearch
    cloudsearchdomain cloudtrail cloudtrail-data cloudwatch cloudwatch-omni codeartifact codebuild codecatalyst
    codecommit codeconnections codedeploy codeguru-profiler codeguru-reviewer codeguru-security codepipeline
    codestar-connections codestar-notifications cognito-identity cognito-idp cognito-sync comprehend
    comprehendmedical compute-optimizer config connect connect-campaigns contact-lens continuum controlcatalog
    controlplane.payment-cryptography controltower cost-optimization-hub cur data-ats.iot data-signer
    data.jobs.iot data.mediastore data.qapps databrew dataexchange datapipeline dataplane.payment-cryptography
    datasync datazone dax deadline deployment-marketplace detective devicefarm devops-guru directconnect
    discovery discovery-marketplace dlm dms docdb-elastic drs ds ds-data dsql dynamodb ebs ec2
    ec2-instance-connect ecr ecr-public ecs edge.sagemaker eks eks-auth elasticache elasticbeanstalk
    elasticfilesystem elasticloadbalancing elasticmapreduce elemental-inference email emr-containers
    emr-serverless end-user-messaging entitlement.marketplace entityresolution es events eventsv2 evs
    execute-api featurestore-runtime.sagemaker firehose fis fms forecast forecastquery frauddetector freetier
    fsx gamelift gameliftstreams gateway-runtime.sagemaker geo geo-maps geo-places geo-routes glacier
    globalaccelerator glue grafana greengrass groundstation guardduty health health-agent healthlake iam
    iam-toolbox identity-chime identitystore imagebuilder importexport inferencerouter-runtime.sagemaker
    ingest.timestream inspector inspector-scan inspector2 interconnect internetmonitor invoicing iot
    iot-jobs-data iotdata iotdeviceadvisor iotfleetwise iotmanagedintegrations iotsecuredtunneling iotsitewise
    iotthingsgraph iottwinmaker iotwireless ivs ivschat ivsrealtime job-runtime.sagemaker kafka kafkaconnect
    kendra kendra-ranking kinesis kinesisanalytics kinesisvideo kms lakeformation lambda launchwizard lex
    license-manager license-manager-linux-subscriptions license-manager-user-subscriptions lightsail logs
    lookoutequipment m2 machinelearning macie2 mail-manager managedblockchain managedblockchain-query
    marketplacecommerceanalytics media-pipelines-chime mediaconnect mediaconvert medialive mediapackage
    mediapackage-vod mediapackagev2 mediastore mediatailor medical-imaging meetings-chime memory-db memorydb
    messaging-chime metering.marketplace metrics.sagemaker mgh mgn migrationhub-config migrationhub-orchestrator
    migrationhub-strategy mobiletargeting models-v2-lex models.lex monitoring mpa mq mturk-requester neptune-db
    neptune-graph network-firewall network-security-manager networkflowmonitor networkmanager networkmonitor
    notifications notifications-contacts nova-act oam observabilityadmin odb oidc omics organizations osis osm
    outposts participant.connect partnercentral partnercentral-account partnercentral-benefits
    partnercentral-channel partnercentral-marketing partnercentral-prm partnercentral-selling
    payment-cryptography payments pca-connector-ad pca-connector-scep pcs personalize personalize-events
    personalize-runtime pi pinpoint pipes polly portal.sso pricing pricingplanmanager profile proton qapps
    qbusiness query.timestream quicksight ram rbin rds rds-data redshift redshift-data redshift-serverless
    refactor-spaces rekognition reporting-marketplace repostspace resiliencehub resource-explorer-2
    resource-groups rolesanywhere route53 route53-recovery-cluster route53-recovery-control-config
    route53-recovery-readiness route53domains route53globalresolver route53profiles route53resolver rtbfabric
    rum runtime-v2-lex runtime.lex runtime.sagemaker s3 s3-control s3-outposts s3files s3tables s3vectors
    sagemaker sagemaker-geospatial savingsplans scheduler schemas scn sdb secretsmanager security-ir
    securityagent securityhub securitylake serverlessrepo servicecatalog servicecatalog-appregistry
    servicediscovery servicequotas ses shield signer signin sms-voice sms-voice.pinpoint snow-device-management
    snowball sns social-messaging sqs ssm ssm-contacts ssm-guiconnect ssm-incidents ssm-quicksetup ssm-sap sso
    sso-oauth states storagegateway streams.dynamodb sts support supportapp supportauthz sustainability swf
    synthetics tagging tax textract thinclient timestream timestream-influxdb training-session-runtime.sagemaker
    transcribe transfer translate trustedadvisor uxc verifiedpermissions voice-chime voiceid vpc-lattice waf
    waf-regional wafv2 wellarchitected wickr wisdom workdocs workmail workmailmessageflow workspaces
    workspaces-instances workspaces-web xray
    """.split()
)


def rcp_applies_to(service: str, *, own: bool) -> bool:
    """Return whether RCPs apply to a lower-case action prefix; `own` if the application declares it."""
    return own or service in RCP_SUPPORTED or service not in AWS
